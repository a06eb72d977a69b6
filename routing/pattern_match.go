// SPDX-License-Identifier: Apache-2.0

package routing

type opcode uint8

const (
	opAccept       opcode = iota
	opSet                 // one byte of set
	opSplit               // x first, y later
	opJump                // x
	opOpen                // group x begins
	opClose               // group x ends
	opMark                // slot x is here
	opAdvanced            // go to y if slot x is still here
	opAtomic              // x up to opAccept, then y, without coming back
	opAhead               // x up to opAccept must match here, then y
	opNotAhead            // x up to opAccept must not match here, then y
	opBack                // x bytes back
	opReference           // what group x matched
	opKeep                // the match begins here
	opStart               // \A
	opLineStart           // ^ of (?m)
	opEnd                 // \z
	opEndOrNewline        // $
	opLineEnd             // $ of (?m)
	opBoundary            // \b
	opNoBoundary          // \B
)

type instruction struct {
	op   opcode
	fold bool
	x, y int
	set  byteSet
}

// patternCompiler turns a tree into a program for the machine. Repeated groups
// are copied as PCRE copies them, so that the groups captured are the same.
type patternCompiler struct {
	program []instruction
	slots   int
}

func (c *patternCompiler) emit(i instruction) int {
	c.program = append(c.program, i)
	return len(c.program) - 1
}

func (c *patternCompiler) here() int { return len(c.program) }

// sub compiles a program of its own after an instruction that runs it.
func (c *patternCompiler) sub(op opcode, body func()) {
	at := c.emit(instruction{op: op})
	c.program[at].x = c.here()
	body()
	c.emit(instruction{op: opAccept})
	c.program[at].y = c.here()
}

func (c *patternCompiler) node(n *node) {
	switch n.kind {
	case nodeSet:
		c.emit(instruction{op: opSet, set: n.set})
	case nodeConcat, nodeGroup:
		for _, kid := range n.kids {
			c.node(kid)
		}
	case nodeAlternate:
		c.alternate(n.kids, c.node)
	case nodeCapture:
		c.emit(instruction{op: opOpen, x: n.group})
		c.node(n.kids[0])
		c.emit(instruction{op: opClose, x: n.group})
	case nodeAtomic:
		c.sub(opAtomic, func() { c.node(n.kids[0]) })
	case nodeAhead:
		c.sub(lookOp(n), func() { c.node(n.kids[0]) })
	case nodeBehind:
		c.sub(lookOp(n), func() {
			c.alternate(n.branches(), func(branch *node) {
				length, _ := branch.fixedLength()
				c.emit(instruction{op: opBack, x: length})
				c.node(branch)
			})
		})
	case nodeRepeat:
		if n.mode == possessive {
			c.sub(opAtomic, func() { c.repeat(n) })
		} else {
			c.repeat(n)
		}
	case nodeReference:
		c.emit(instruction{op: opReference, x: n.group, fold: n.caseless})
	case nodeAssert:
		c.emit(instruction{op: n.assert})
	case nodeKeep:
		c.emit(instruction{op: opKeep})
	}
}

func lookOp(n *node) opcode {
	if n.negative {
		return opNotAhead
	}
	return opAhead
}

func (c *patternCompiler) alternate(branches []*node, compile func(*node)) {
	var jumps []int
	for i, branch := range branches {
		if i == len(branches)-1 {
			compile(branch)
			break
		}
		split := c.emit(instruction{op: opSplit})
		c.program[split].x = c.here()
		compile(branch)
		jumps = append(jumps, c.emit(instruction{op: opJump}))
		c.program[split].y = c.here()
	}
	for _, jump := range jumps {
		c.program[jump].x = c.here()
	}
}

// split emits a choice between going on and leaving, in the order of the mode.
// It returns a function that sets where leaving leads to.
func (c *patternCompiler) split(mode repeatMode, into int) func(out int) {
	at := c.emit(instruction{op: opSplit})
	if into < 0 {
		into = c.here()
	}
	if mode == lazy {
		c.program[at].y = into
		return func(out int) { c.program[at].x = out }
	}
	c.program[at].x = into
	return func(out int) { c.program[at].y = out }
}

func (c *patternCompiler) repeat(n *node) {
	body := n.kids[0]
	var leave []func(int)
	if n.max == unlimited {
		for i := 1; i < n.min; i++ {
			c.node(body)
		}
		if n.min == 0 {
			leave = append(leave, c.split(n.mode, -1))
		}
		into := c.here()
		slot := c.slots
		c.slots++
		c.emit(instruction{op: opMark, x: slot})
		c.node(body)
		advanced := c.emit(instruction{op: opAdvanced, x: slot})
		leave = append(leave, c.split(n.mode, into), func(out int) { c.program[advanced].y = out })
	} else {
		for i := range n.max {
			if i >= n.min {
				leave = append(leave, c.split(n.mode, -1))
			}
			c.node(body)
		}
	}
	for _, set := range leave {
		set(c.here())
	}
}

// machine matches one subject. It never calls itself deeper than parentheses
// are nested.
type machine struct {
	program []instruction
	subject string
	// state holds two offsets and the pending start of each group, the slots
	// of loops, and the start of the match as changed by \K.
	state  []int
	groups int
	stack  []undo
	steps  int
}

// undo is a change of state to take back, or, with a negative index, a choice
// to try next.
type undo struct{ index, pc, value int }

func newMachine(p *Pattern, subject string) *machine {
	m := &machine{program: p.program, subject: subject, groups: p.groups}
	m.state = make([]int, 3*(p.groups+1)+p.slots)
	for i := range m.state {
		m.state[i] = -1
	}
	return m
}

func (m *machine) set(index, value int) {
	m.stack = append(m.stack, undo{index: index, value: m.state[index]})
	m.state[index] = value
}

// back takes changes back down to base and stops at a choice.
func (m *machine) back(base int) (pc, pos int, ok bool) {
	for len(m.stack) > base {
		u := m.stack[len(m.stack)-1]
		m.stack = m.stack[:len(m.stack)-1]
		if u.index < 0 {
			return u.pc, u.value, true
		}
		m.state[u.index] = u.value
	}
	return 0, 0, false
}

// commit forgets the choices above base and keeps the changes.
func (m *machine) commit(base int) {
	kept := m.stack[:base]
	for _, u := range m.stack[base:] {
		if u.index >= 0 {
			kept = append(kept, u)
		}
	}
	m.stack = kept
}

// run matches from pc up to opAccept and returns where that ended. Without a
// match the state is as before; the bound on steps counts as no match.
func (m *machine) run(pc, pos int) (end int, ok bool) {
	base := len(m.stack)
	for {
		m.steps++
		if m.steps > maxPatternSteps {
			return 0, false
		}
		i := &m.program[pc]
		pc++
		good := true
		switch i.op {
		case opAccept:
			return pos, true
		case opSet:
			if good = pos < len(m.subject) && i.set.has(m.subject[pos]); good {
				pos++
			}
		case opSplit:
			m.stack = append(m.stack, undo{index: -1, pc: i.y, value: pos})
			pc = i.x
		case opJump:
			pc = i.x
		case opOpen:
			m.set(3*i.x+2, pos)
		case opClose:
			m.set(3*i.x, m.state[3*i.x+2])
			m.set(3*i.x+1, pos)
		case opMark:
			m.set(3*(m.groups+1)+i.x, pos)
		case opAdvanced:
			if m.state[3*(m.groups+1)+i.x] == pos {
				pc = i.y
			}
		case opAtomic, opAhead:
			mark := len(m.stack)
			var after int
			if after, good = m.run(i.x, pos); good {
				m.steps += len(m.stack) - mark
				m.commit(mark)
				pc = i.y
				if i.op == opAtomic {
					pos = after
				}
			}
		case opNotAhead:
			mark := len(m.stack)
			if _, good = m.run(i.x, pos); good {
				m.commit(mark)
				m.back(mark)
			}
			good = !good
			pc = i.y
		case opBack:
			pos -= i.x
			good = pos >= 0
		case opReference:
			pos, good = m.reference(i, pos)
		case opKeep:
			m.set(0, pos)
		default:
			good = m.assert(i.op, pos)
		}
		if !good {
			if pc, pos, ok = m.back(base); !ok {
				return 0, false
			}
		}
	}
}

func (m *machine) reference(i *instruction, pos int) (int, bool) {
	from, to := m.state[3*i.x], m.state[3*i.x+1]
	if from < 0 || to-from > len(m.subject)-pos {
		return pos, false
	}
	m.steps += to - from
	for ; from < to; from, pos = from+1, pos+1 {
		a, b := m.subject[from], m.subject[pos]
		sameLetter := i.fold && a^b == 32 && a|32 >= 'a' && a|32 <= 'z'
		if a != b && !sameLetter {
			return pos, false
		}
	}
	return pos, true
}

func (m *machine) assert(op opcode, pos int) bool {
	s := m.subject
	switch op {
	case opStart:
		return pos == 0
	case opLineStart:
		return pos == 0 || pos < len(s) && s[pos-1] == '\n'
	case opEnd:
		return pos == len(s)
	case opEndOrNewline:
		return pos == len(s) || pos == len(s)-1 && s[pos] == '\n'
	case opLineEnd:
		return pos == len(s) || s[pos] == '\n'
	}
	before := pos > 0 && isWord(s[pos-1])
	after := pos < len(s) && isWord(s[pos])
	return (before != after) == (op == opBoundary)
}

// texts returns what the groups matched.
func (m *machine) texts(start, end int) []string {
	if m.state[0] >= 0 {
		start = m.state[0]
	}
	groups := make([]string, m.groups+1)
	groups[0] = m.subject[start:end]
	for i := 1; i <= m.groups; i++ {
		if from := m.state[3*i]; from >= 0 {
			groups[i] = m.subject[from:m.state[3*i+1]]
		}
	}
	return groups
}
