package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"nftknock/config"
	"nftknock/knock"
)

// explainConfig says in plain words what a configuration does. It shows no sequence.
func explainConfig(w io.Writer, cfg *config.Config) {
	if len(cfg.Doors) == 0 {
		fmt.Fprintln(w, "Nothing is guarded: there is no door.")
		return
	}
	where := "on every interface but loopback"
	if len(cfg.Interfaces) > 0 {
		where = "on " + inWords(cfg.Interfaces, "and") + " alone; what arrives on other interfaces is let through"
	}
	fmt.Fprintf(w, "Packets are judged that arrive %s.\n", where)
	if len(cfg.AlwaysAllow) > 0 {
		var names []string
		for _, p := range cfg.AlwaysAllow {
			names = append(names, p.String())
		}
		fmt.Fprintf(w, "Who comes from %s never needs to knock.\n", inWords(names, "or"))
	}
	fmt.Fprintln(w, "Connections that are up when the doors are shut stay up.")
	for i := range cfg.Doors {
		explainDoor(w, cfg, &cfg.Doors[i])
	}
	if cfg.Scan.Decoys > 0 {
		fmt.Fprintf(w, "\nWho touches one of %d decoys, as a port scan does, is not listened to for %s.\n", cfg.Scan.Decoys, config.FormatDuration(cfg.Scan.Mute))
	}
	fmt.Fprintln(w)
}

func explainDoor(w io.Writer, cfg *config.Config, d *knock.Door) {
	fmt.Fprintf(w, "\nDoor %s guards %s.\n", d.Name, cmp.Or(inWords(portWords(d.Ports), "and"), "no port: it only makes events"))
	if len(d.Ports) > 0 {
		stranger := "gets no answer at all, as if there were no host"
		if d.Shut == knock.Reject {
			stranger = "gets what a closed port answers"
		}
		fmt.Fprintf(w, "  A stranger %s.\n", stranger)
	}
	var ways []string
	if n := len(d.Sequence); n > 0 {
		way := fmt.Sprintf("%d knocks in the right order, within %s", n, config.FormatDuration(d.SeqTimeout))
		if d.CodeBase != 0 {
			way += ", and then the one-time code of the moment"
		}
		ways = append(ways, way)
	} else if d.CodeBase != 0 {
		ways = append(ways, "the one-time code of the moment, knocked")
	}
	if keys := cfg.SPA.Doors[d.Name].Keys; len(keys) > 0 {
		var names []string
		for _, k := range keys {
			names = append(names, k.Name)
		}
		ways = append(ways, fmt.Sprintf("an encrypted packet of %s to port %v", inWords(names, "or"), cfg.SPA.Port))
	}
	fmt.Fprintf(w, "  It opens to %s.\n", inWords(ways, "or"))
	who := "the address that it came from"
	if d.IPv4Prefix < 32 || d.IPv6Prefix < 128 {
		who += fmt.Sprintf(" and its neighbours (/%d of IPv4, /%d of IPv6)", d.IPv4Prefix, d.IPv6Prefix)
	}
	if d.OpenTimeout == knock.Forever {
		fmt.Fprintf(w, "  Then %s may connect until it is put out.\n", who)
	} else {
		fmt.Fprintf(w, "  Then %s may begin connections for %s; those that are up after that stay up.\n", who, config.FormatDuration(d.OpenTimeout))
	}
	if n := len(d.CloseSequence); n > 0 {
		fmt.Fprintf(w, "  Another %d knocks shut it again to that address.\n", n)
	}
}

func portWords(ports []knock.Port) []string {
	var words []string
	for _, p := range ports {
		words = append(words, fmt.Sprintf("%s port %d", strings.ToUpper(p.Proto.String()), p.Number))
	}
	return words
}

// inWords joins words as a sentence does.
func inWords(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}
