package lab

// The configurations that most tests use. No port of a sequence is a number
// that stands in a log line for another reason.
const (
	SSHDoor = `
[door.ssh]
ports    = [22]
sequence = [7214, 8391, 6127]
`
	SSHDoorThatCloses = SSHDoor + `
close_sequence = [6127, 8391, 7214]
`
)

var (
	SSHSequence      = []string{"7214", "8391", "6127"}
	SSHCloseSequence = []string{"6127", "8391", "7214"}
)

// NoDecoys is for tests that compare a guarded port with any other.
const NoDecoys = `
[scan]
decoys = 0
`
