package config

import (
	"fmt"
	"slices"
	"strings"

	"nftknock/knock"
)

// Door returns the door of that name, or a [*NoDoorError].
func (c *Config) Door(name string) (*knock.Door, error) {
	i := slices.IndexFunc(c.Doors, func(d knock.Door) bool { return d.Name == name })
	if i < 0 {
		return nil, &NoDoorError{Name: name, Doors: c.DoorNames()}
	}
	return &c.Doors[i], nil
}

// DoorNames returns the names of the doors, in the order of the file.
func (c *Config) DoorNames() []string {
	names := make([]string, len(c.Doors))
	for i, d := range c.Doors {
		names[i] = d.Name
	}
	return names
}

// A NoDoorError says that there is no door of a name.
type NoDoorError struct {
	Name  string
	Doors []string // there are
}

func (e *NoDoorError) Error() string {
	text := fmt.Sprintf("no door is named %q: ", e.Name)
	switch len(e.Doors) {
	case 0:
		return text + "none is configured"
	case 1:
		return text + "there is " + e.Doors[0]
	}
	return text + "there are " + strings.Join(e.Doors, ", ")
}
