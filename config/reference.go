package config

import _ "embed"

// Reference is a configuration that shows every key, explains it, and works.
//
//go:embed reference.toml
var Reference string
