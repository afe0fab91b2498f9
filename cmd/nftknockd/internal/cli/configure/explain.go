package configure

import (
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
		fmt.Fprintf(w, "\nWhoever touches a decoy, as a port scan does, is ignored for %s. Each protocol with knocks has %d decoys.\n",
			config.FormatDuration(cfg.Scan.Mute), cfg.Scan.Decoys)
	}
	fmt.Fprintln(w)
}

func explainDoor(w io.Writer, cfg *config.Config, d *knock.Door) {
	trigger := len(d.Ports) == 0
	if trigger {
		fmt.Fprintf(w, "\nDoor %s is a trigger: it guards no port, and makes the events that hooks are run for.\n", d.Name)
	} else {
		stranger := "gets no answer at all, as if there were no host"
		if d.Shut == knock.Reject {
			stranger = "gets what a closed port answers"
		}
		fmt.Fprintf(w, "\nDoor %s guards %s.\n  A stranger %s.\n", d.Name, inWords(portWords(d.Ports), "and"), stranger)
	}
	ways := waysToOpen(cfg, d)
	opens := "It opens to"
	if trigger {
		opens = "It is set off by"
	}
	if len(ways) == 1 {
		fmt.Fprintf(w, "  %s %s.\n", opens, ways[0])
	} else {
		fmt.Fprintf(w, "  %s either of these:\n    - %s;\n    - %s.\n", opens, ways[0], ways[1])
	}
	who := "the address that it came from"
	switch packets := len(cfg.SPA.Doors[d.Name].Keys) > 0; {
	case packets && len(ways) == 1:
		who = "the address that the packet names"
	case packets:
		who = "the address that the knocks came from, or that the packet names,"
	}
	if d.IPv4Prefix < 32 || d.IPv6Prefix < 128 {
		who += fmt.Sprintf(" and its neighbours (/%d of IPv4, /%d of IPv6)", d.IPv4Prefix, d.IPv6Prefix)
	}
	switch {
	case trigger && d.OpenTimeout == knock.Forever:
		fmt.Fprintln(w, `  That is the event "granted"; nothing follows by itself.`)
	case trigger:
		fmt.Fprintf(w, "  That is the event \"granted\"; \"expired\" follows after %s.\n", config.FormatDuration(d.OpenTimeout))
	case d.OpenTimeout == knock.Forever:
		fmt.Fprintf(w, "  Then %s may connect until revoked.\n", who)
	default:
		fmt.Fprintf(w, "  Then %s may begin connections for %s; those that are up after that stay up.\n", who, config.FormatDuration(d.OpenTimeout))
	}
	switch n := len(d.CloseSequence); {
	case n > 0 && trigger:
		fmt.Fprintf(w, "  Another sequence, of %s, is the event \"revoked\".\n", knocksInOrder(n))
	case n > 0:
		fmt.Fprintf(w, "  Another sequence, of %s, shuts it again to that address.\n", knocksInOrder(n))
	}
}

// waysToOpen says what opens a door, each way of which is enough.
func waysToOpen(cfg *config.Config, d *knock.Door) []string {
	var ways []string
	within := "within " + config.FormatDuration(d.SeqTimeout)
	switch n := len(d.Sequence); {
	case n > 0 && d.CodeBase != 0:
		ways = append(ways, fmt.Sprintf("%s followed by the one-time code of the moment, which is knocked too, all %s", knocksInOrder(n), within))
	case n > 0:
		ways = append(ways, fmt.Sprintf("%s, %s", knocksInOrder(n), within))
	case d.CodeBase != 0:
		ways = append(ways, "the one-time code of the moment, knocked "+within)
	}
	if keys := cfg.SPA.Doors[d.Name].Keys; len(keys) > 0 {
		var names []string
		for _, k := range keys {
			names = append(names, k.Name)
		}
		ways = append(ways, fmt.Sprintf("one encrypted packet of %s to port %v, without a knock or a code", inWords(names, "or"), cfg.SPA.Port))
	}
	return ways
}

func knocksInOrder(n int) string {
	if n == 1 {
		return "1 knock"
	}
	return fmt.Sprintf("%d knocks in the right order", n)
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
