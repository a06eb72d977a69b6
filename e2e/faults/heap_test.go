// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// heapRecords says what the records of a heap dump consist of, by their tags: i
// for an integer, s for bytes with their length, f for a list of fields. What
// comes after these records is statistics.
var heapRecords = map[uint64]string{
	1: "isf", 2: "si", 3: "iisi", 4: "iiiiiiiisiiii", 5: "iiisiiisf", 6: "iiiissi", 7: "iiiii", 8: "ii", 9: "iii",
	11: "iiiii", 12: "isf", 13: "isf", 14: "iiiiiii", 15: "iiiiii",
}

const (
	heapObject     = 1
	heapStatistics = 10
	heapData       = 12
	heapBSS        = 13
)

// reachable returns what a heap dump holds of objects that survived and of
// global variables. Stacks are left out: between their variables they hold
// whatever their memory was used for before.
func reachable(dump []byte) ([][]byte, error) {
	rest, ok := bytes.CutPrefix(dump, []byte("go1.7 heap dump\n"))
	if !ok {
		return nil, errors.New("not a heap dump")
	}
	broken := false
	number := func() uint64 {
		n, length := binary.Uvarint(rest)
		if length <= 0 {
			broken = true
			return 0
		}
		rest = rest[length:]
		return n
	}
	var contents [][]byte
	for !broken {
		tag := number()
		if tag == heapStatistics {
			return contents, nil
		}
		record, ok := heapRecords[tag]
		if !ok {
			return nil, fmt.Errorf("unknown record %d, %d bytes before the end", tag, len(rest))
		}
		for _, part := range record {
			switch part {
			case 'i':
				number()
			case 's':
				n := number()
				if n > uint64(len(rest)) {
					return nil, errors.New("a record is longer than the dump")
				}
				if tag == heapObject || tag == heapData || tag == heapBSS {
					contents = append(contents, rest[:n])
				}
				rest = rest[n:]
			case 'f':
				for number() != 0 {
					number()
				}
			}
		}
	}
	return nil, errors.New("the dump ends early")
}
