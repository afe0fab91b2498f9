package config

import (
	"errors"
	"fmt"
	"path/filepath"

	"nftknock/knock"
)

// OTP is what the one-time codes of a door are made from.
type OTP struct {
	File   string // otp_secret_file, from the folder of the configuration
	Secret Secret // base32, in capitals, without padding; empty if it was not read
}

// maxCodeBase leaves room for all the ports that carry codes.
const maxCodeBase = 65536 - knock.CodePorts

// hasCodes reports whether a door is meant to take one-time codes.
func (s *section) hasCodes() bool {
	_, file := s.keys["otp_secret_file"]
	_, base := s.keys["otp_base"]
	return file || base
}

// readOTP reads what a door says of one-time codes.
func (d *door) readOTP() {
	if !d.hasCodes() {
		return
	}
	if _, ok := d.keys["otp_secret_file"]; !ok {
		d.fail("otp_secret_file", "is missing beside otp_base: write the file that \"nftknockd otp new %s\" makes", plain(d.Name))
	}
	if _, ok := d.keys["otp_base"]; !ok {
		d.fail("otp_base", "is missing beside otp_secret_file: write the first of the %d ports that carry codes, such as 20000", knock.CodePorts)
	}
	read(d.section, "otp_base", &d.CodeBase, codeBase)
	read(d.section, "otp_secret_file", &d.otp.File, func(v any) (string, error) {
		return secretFile(filepath.Dir(d.doc.file), v)
	})
	if d.otp.File == "" || d.doc.readSecret == nil {
		return
	}
	secret, err := d.doc.readSecret(d.otp.File, d.Name)
	if err != nil {
		d.fail("otp_secret_file", "%v", err)
	}
	d.otp.Secret = secret
}

func codeBase(v any) (uint16, error) {
	n, err := number(1, maxCodeBase)(v)
	return uint16(n), err
}

func secretFile(folder string, v any) (string, error) {
	file, ok := v.(string)
	switch {
	case !ok:
		return "", wrongKind(v, `the name of a file, such as "ssh.otp"`)
	case file == "":
		return "", errors.New(`is empty: write the name of a file, such as "ssh.otp"`)
	case filepath.IsAbs(file):
		return file, nil
	}
	return filepath.Join(folder, file), nil
}

// carriesCodes reports whether a knock on the port is part of a code of the door's.
func carriesCodes(d *door, p knock.Port) bool {
	return d.CodeBase != 0 && p.Proto == knock.TCP &&
		int(p.Number) >= int(d.CodeBase) && int(p.Number) < int(d.CodeBase)+knock.CodePorts
}

// codeRange returns the ports that carry the codes of a door, for messages.
func codeRange(d *knock.Door) string {
	return fmt.Sprintf("%d-%d", d.CodeBase, int(d.CodeBase)+knock.CodePorts-1)
}

// checkCodePorts reports ports that carry codes and have another use too. Doors may
// share them whole, where their sequences tell them apart.
func checkCodePorts(doors []*door) {
	for i, d := range doors {
		if d.CodeBase == 0 {
			continue
		}
		for _, other := range doors {
			d.checkCodePortsAgainst(other)
		}
		for _, other := range doors[:i] {
			distance := max(int(d.CodeBase), int(other.CodeBase)) - min(int(d.CodeBase), int(other.CodeBase))
			if other.CodeBase != 0 && 0 < distance && distance < knock.CodePorts {
				d.fail("otp_base", "its ports, %s, overlap those of door %s, %s: write the same in both, or one %d or more away",
					codeRange(&d.Door), plain(other.Name), codeRange(&other.Door), knock.CodePorts)
			}
		}
	}
}

// checkCodePortsAgainst reports what another door, or this one, does with the ports
// that carry the codes of this one.
func (d *door) checkCodePortsAgainst(other *door) {
	for _, port := range other.Ports {
		if carriesCodes(d, port) {
			d.fail("otp_base", "among its ports, %s, is %v, which door %s guards: choose another",
				codeRange(&d.Door), port, plain(other.Name))
		}
	}
	for key, sequence := range sequences(&other.Door) {
		for i, port := range sequence {
			if carriesCodes(d, port) {
				other.fail(key, "knock %d is among the ports that carry the codes of door %s, %s: knock on another port, or change that otp_base",
					i+1, plain(d.Name), codeRange(&d.Door))
			}
		}
	}
}
