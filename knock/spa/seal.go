package spa

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"math/big"
	"time"
)

// version is that of fwknop's protocol, which 2.6.10 speaks.
const version = "3.0.0"

// Seal makes a packet: the payload of one datagram, as fwknop's client makes it.
func (k Key) Seal(r Request, now time.Time) ([]byte, error) {
	number, err := rand.Int(rand.Reader, big.NewInt(1e16))
	if err != nil {
		return nil, err
	}
	text, err := r.text(fmt.Sprintf("%0*d", randomDigits, number), now)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, saltSize)
	rand.Read(salt) // never fails
	packet := k.seal(text, salt)
	if len(packet) > maxPacket {
		return nil, fmt.Errorf("%d ports are too many for one packet", len(r.Ports))
	}
	return packet, nil
}

// seal adds the digest, encrypts and authenticates.
func (k Key) seal(text string, salt []byte) []byte {
	digest := sha256.Sum256([]byte(text))
	message := encrypt(k.cipher, salt, []byte(text+":"+encoding.EncodeToString(digest[:])))
	newHash := sha256.New
	if k.Hash == SHA512 {
		newHash = sha512.New
	}
	mac := hmac.New(newHash, k.hmac)
	mac.Write(message)
	return encoding.AppendEncode(message, mac.Sum(nil))[len(prefix):]
}
