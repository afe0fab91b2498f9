// Command accounts makes what a NATS server with accounts of its own is configured with, and the
// credentials of users of it:
//
//	accounts DIRECTORY
//
// DIRECTORY gets accounts.conf, user.creds, expired.creds, and stranger.creds, whose account no
// server knows.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: accounts DIRECTORY")
	}
	if err := write(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func write(directory string) error {
	operator, err := nkeys.CreateOperator()
	if err != nil {
		return err
	}
	system, systemJWT, err := account(operator, "SYS", false)
	if err != nil {
		return err
	}
	gates, gatesJWT, err := account(operator, "GATES", true)
	if err != nil {
		return err
	}
	stranger, _, err := account(operator, "STRANGER", true)
	if err != nil {
		return err
	}
	claims := jwt.NewOperatorClaims(public(operator))
	claims.SystemAccount = public(system)
	operatorJWT, err := claims.Encode(operator)
	if err != nil {
		return err
	}
	config := fmt.Sprintf("operator: %s\nresolver: MEMORY\nresolver_preload: {\n\t%s: %s\n\t%s: %s\n}\n",
		operatorJWT, public(system), systemJWT, public(gates), gatesJWT)
	if err := os.WriteFile(filepath.Join(directory, "accounts.conf"), []byte(config), 0o600); err != nil {
		return err
	}
	for name, user := range map[string]struct {
		account nkeys.KeyPair
		expires time.Time
	}{
		"user":     {gates, time.Time{}},
		"expired":  {gates, time.Now().Add(-time.Hour)},
		"stranger": {stranger, time.Time{}},
	} {
		text, err := credentials(user.account, user.expires)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(directory, name+".creds"), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// account makes an account of the operator's, and its JWT.
func account(operator nkeys.KeyPair, name string, stores bool) (nkeys.KeyPair, string, error) {
	pair, err := nkeys.CreateAccount()
	if err != nil {
		return nil, "", err
	}
	claims := jwt.NewAccountClaims(public(pair))
	claims.Name = name
	if stores {
		claims.Limits.JetStreamLimits.DiskStorage = jwt.NoLimit
		claims.Limits.JetStreamLimits.Streams = jwt.NoLimit
		claims.Limits.JetStreamLimits.Consumer = jwt.NoLimit
	}
	text, err := claims.Encode(operator)
	return pair, text, err
}

// credentials makes a user of the account, who is one until a time, or for ever.
func credentials(account nkeys.KeyPair, expires time.Time) ([]byte, error) {
	user, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	claims := jwt.NewUserClaims(public(user))
	if !expires.IsZero() {
		claims.Expires = expires.Unix()
	}
	text, err := claims.Encode(account)
	if err != nil {
		return nil, err
	}
	seed, err := user.Seed()
	if err != nil {
		return nil, err
	}
	return jwt.FormatUserConfig(text, seed)
}

func public(pair nkeys.KeyPair) string {
	key, err := pair.PublicKey()
	if err != nil {
		log.Fatal(err)
	}
	return key
}
