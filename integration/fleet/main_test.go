// Package fleet has real gates share grants through a real NATS server.
package fleet

import (
	"testing"

	"nftknock/integration/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }
