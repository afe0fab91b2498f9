package life

import (
	"testing"

	"nftknock/integration/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }
