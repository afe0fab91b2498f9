package config

import (
	"fmt"

	"nftknock/config/internal/doc"
	"nftknock/knock"
)

// OTP is what the one-time codes of a door are made from.
type OTP struct {
	File   string // otp_secret_file, from the folder of the configuration
	Secret Secret // base32, in capitals, without padding; empty if it was not read
}

// hasCodes reports whether a door is meant to take one-time codes.
func hasCodes(s *doc.Section) bool { return s.Has("otp_secret_file") || s.Has("otp_base") }

// codes reads what a door says of one-time codes.
func (r *reader) codes(d *door) {
	if !hasCodes(d.Section) {
		return
	}
	if !d.Has("otp_secret_file") {
		d.Fail("otp_secret_file", "is missing beside otp_base: write the file that \"nftknockd otp new %s\" makes", doc.Plain(d.Name))
	}
	if !d.Has("otp_base") {
		d.Fail("otp_base", "is missing beside otp_secret_file: write the first of the %d ports that carry codes, such as 20000", knock.CodePorts)
	}
	doc.Read(d.Section, "otp_base", &d.CodeBase, doc.CodeBase)
	doc.Read(d.Section, "otp_secret_file", &d.otp.File, func(v any) (string, error) {
		return doc.FileName(r.Folder(), v, "ssh.otp")
	})
	if d.otp.File == "" || r.secrets == nil {
		return
	}
	secret, err := r.otpSecret(d.otp.File, d.Name)
	if err != nil {
		d.Fail("otp_secret_file", "%v", err)
	}
	d.otp.Secret = secret
}

// otpSecret reads base32, as an authenticator app takes it.
func (r *reader) otpSecret(path, door string) (Secret, error) {
	text, err := r.secrets(path, fmt.Sprintf("\"nftknockd otp new %s\" makes it", doc.Plain(door)))
	if err != nil {
		return "", err
	}
	secret, err := doc.ParseBase32(string(text))
	if err != nil {
		return "", fmt.Errorf("%s %w", doc.Plain(path), err)
	}
	return secret, nil
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
				d.Fail("otp_base", "its ports, %s, overlap those of door %s, %s: write the same in both, or one %d or more away",
					codeRange(&d.Door), doc.Plain(other.Name), codeRange(&other.Door), knock.CodePorts)
			}
		}
	}
}

// checkCodePortsAgainst reports what another door, or this one, does with the ports
// that carry the codes of this one.
func (d *door) checkCodePortsAgainst(other *door) {
	for _, port := range other.Ports {
		if carriesCodes(d, port) {
			d.Fail("otp_base", "among its ports, %s, is %v, which door %s guards: choose another",
				codeRange(&d.Door), port, doc.Plain(other.Name))
		}
	}
	for key, sequence := range sequences(&other.Door) {
		for i, port := range sequence {
			if carriesCodes(d, port) {
				other.Fail(key, "knock %d is among the ports that carry the codes of door %s, %s: knock on another port, or change that otp_base",
					i+1, doc.Plain(d.Name), codeRange(&d.Door))
			}
		}
	}
}
