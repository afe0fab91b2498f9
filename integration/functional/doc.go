// Package functional tests, a subject a file, what an administrator and the people who
// knock are promised. It holds tests only; package lab has what they are made of.
package functional
