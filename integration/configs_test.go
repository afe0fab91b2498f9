package integration

// The configurations that most tests use. No port of a sequence is a number
// that stands in a log line for another reason.
const (
	sshDoor = `
[door.ssh]
ports    = [22]
sequence = [7214, 8391, 6127]
`
	sshDoorThatCloses = sshDoor + `
close_sequence = [6127, 8391, 7214]
`
)

var (
	sshSequence      = []string{"7214", "8391", "6127"}
	sshCloseSequence = []string{"6127", "8391", "7214"}
)

// noDecoys is for tests that compare a guarded port with any other.
const noDecoys = `
[scan]
decoys = 0
`
