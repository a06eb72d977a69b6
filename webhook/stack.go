// SPDX-License-Identifier: Apache-2.0

package webhook

// stackRoom is about what a verdict on an Ingress of one rule takes of the stack.
const stackRoom = 8 << 10

// growStack makes room on the stack of the goroutine. The server starts one for each
// request, with a small stack, which doubles whenever it is full: each time all of it is
// copied, and the deeper the calls, the dearer. So it is made large at once, while there is
// little on it. With unused set it does nothing but what keeps the compiler from leaving
// out the room.
//
//go:noinline
func growStack(unused bool) byte {
	if !unused {
		return 0
	}
	var room [stackRoom]byte
	touch(&room)
	return room[stackRoom/2]
}

//go:noinline
func touch(room *[stackRoom]byte) {
	for i := range room {
		room[i] = byte(i)
	}
}
