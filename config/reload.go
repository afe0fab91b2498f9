package config

import "errors"

// CheckReload returns an error if a daemon that guards by an older configuration cannot go over to
// this one.
func (c *Config) CheckReload(old *Config) error {
	const how = "cannot change while the daemon runs: stop it, run `nftknockd remove`, and start it again"
	const restart = "cannot change while the daemon runs: restart it; doors stay shut and grants stay"
	switch {
	case c.Table != old.Table:
		return errors.New("`table` " + how)
	case c.OwnTable != old.OwnTable:
		return errors.New("`own_table` " + how)
	case c.LogFormat != old.LogFormat:
		return errors.New("`log_format` " + restart)
	case c.Metrics != old.Metrics:
		return errors.New("`[metrics]` " + restart)
	}
	return nil
}
