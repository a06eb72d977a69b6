// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// charset is a set of ASCII characters, one bit each.
type charset [2]uint64

// newCharset reads "a-z" as a range; a hyphen at the end is itself.
func newCharset(chars string) charset {
	var set charset
	for i := 0; i < len(chars); i++ {
		first, last := chars[i], chars[i]
		if i+2 < len(chars) && chars[i+1] == '-' {
			last = chars[i+2]
			i += 2
		}
		for b := first; b <= last; b++ {
			set[b>>6] |= 1 << (b & 63)
		}
	}
	return set
}

func (s charset) has(b byte) bool { return b < 128 && s[b>>6]&(1<<(b&63)) != 0 }

// only reports whether the value has no other characters.
func (s charset) only(value string) bool {
	for i := 0; i < len(value); i++ {
		if !s.has(value[i]) {
			return false
		}
	}
	return true
}

// The character sets of ingress-nginx. Where it takes out spaces before it looks
// at a value, the set has the space.
const (
	plainChars = "a-zA-Z0-9._~/:-"
	regexChars = "^$[](){}*+?|&=\\" + plainChars
	urlChars   = ",:?&=" + plainChars
)

var (
	plainSet      = newCharset(" " + plainChars)
	regexSet      = newCharset(regexChars)
	listSet       = newCharset(", " + plainChars)
	urlSet        = newCharset(urlChars)
	spacedURLSet  = newCharset(" " + urlChars)
	variableURL   = newCharset(" $" + urlChars)
	redirectURL   = newCharset(" $*+^()[]{}|\\%" + urlChars)
	captureSet    = newCharset("$" + plainChars)
	spacedCapture = newCharset(" $" + plainChars)
	variableSet   = newCharset(" ${}a-zA-Z0-9_-")
	headerListSet = newCharset(", a-zA-Z0-9_-")
	headerSet     = newCharset("a-zA-Z0-9_-")
	fileNameSet   = newCharset(" a-zA-Z0-9._-")
	wordSet       = newCharset(" a-zA-Z0-9_-")
	cipherSet     = newCharset(" a-zA-Z0-9+:_!-")
	digitSet      = newCharset("0-9")
	paramSet      = newCharset("a-zA-Z0-9_${}/.-")
	nginxNameSet  = newCharset("a-zA-Z0-9_")
)

func isBool(value string) bool {
	_, err := strconv.ParseBool(value)
	return err == nil
}

func isInt(value string) bool {
	_, err := strconv.Atoi(value)
	return err == nil
}

// isSize is a number with one of b, k, m, g behind it, or nothing. The controller
// takes "b" and "g" too where nginx does not.
func isSize(value string) bool {
	value = strings.ReplaceAll(value, " ", "")
	if value == "" {
		return false
	}
	if last := value[len(value)-1]; strings.IndexByte("bkmgBKMG", last) >= 0 {
		value = value[:len(value)-1]
	}
	return value != "" && digitSet.only(value)
}

func isTrimmedRegexChars(value string) bool { return regexSet.only(strings.TrimSpace(value)) }

func isServerNames(value string) bool {
	for name := range strings.SplitSeq(value, ",") {
		if !isTrimmedRegexChars(name) {
			return false
		}
	}
	return true
}

func isCIDRs(value string) bool {
	for part := range strings.SplitSeq(value, ",") {
		if _, ok := parseCIDR(part); !ok {
			return false
		}
	}
	return true
}

// parseCIDR reads an address or network as the controller does.
func parseCIDR(value string) (netip.Prefix, bool) {
	value = strings.TrimSpace(value)
	// The usual forms are cheaper this way, and mean the same.
	if prefix, err := netip.ParsePrefix(value); err == nil && !prefix.Addr().Is4In6() {
		return prefix.Masked(), true
	}
	if addr, err := netip.ParseAddr(value); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	if _, network, err := net.ParseCIDR(value); err == nil {
		addr, _ := netip.AddrFromSlice(network.IP)
		ones, _ := network.Mask.Size()
		return netip.PrefixFrom(addr, ones), true
	}
	// net.ParseIP takes no address that netip.ParseAddr refuses.
	return netip.Prefix{}, false
}

func isServiceName(value string) bool { return len(validation.IsDNS1035Label(value)) == 0 }

func isCommonName(value string) bool {
	pattern, ok := strings.CutPrefix(value, "CN=")
	if !ok {
		return false
	}
	_, err := regexp.Compile(pattern)
	return err == nil
}

func anything(string) bool { return true }

// onlyOf accepts values of these characters alone.
func onlyOf(s charset) func(string) bool { return s.only }

// matchesSpaceless accepts what the expression matches once spaces are taken out.
func matchesSpaceless(expression string) func(string) bool {
	re := regexp.MustCompile(expression)
	return func(value string) bool {
		value = strings.ReplaceAll(value, " ", "")
		return re.MatchString(value) && !strings.ContainsAny(value, "\r\n")
	}
}

// matchesWhole is like matchesSpaceless, but with the spaces.
func matchesWhole(expression string) func(string) bool {
	re := regexp.MustCompile(expression)
	return func(value string) bool {
		return re.MatchString(value) && !strings.ContainsAny(value, "\r\n")
	}
}

// containsOne accepts values that have one of the words anywhere in them: some of
// the controller's expressions are not anchored.
func containsOne(words ...string) func(string) bool {
	return func(value string) bool {
		value = strings.ReplaceAll(value, " ", "")
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(value, w) }) &&
			!strings.ContainsAny(value, "\r\n")
	}
}

// oneOf accepts the words alone, with white space around them.
func oneOf(words ...string) func(string) bool {
	return func(value string) bool { return slices.Contains(words, strings.TrimSpace(value)) }
}

// oneOfFold is oneOf whatever the case.
func oneOfFold(words ...string) func(string) bool {
	return func(value string) bool { return slices.Contains(words, strings.ToLower(strings.TrimSpace(value))) }
}

// spacelessOneOf accepts the words alone, with spaces anywhere.
func spacelessOneOf(words ...string) func(string) bool {
	return func(value string) bool { return slices.Contains(words, strings.ReplaceAll(value, " ", "")) }
}

// trimLines takes the white space around every line away, as the controller does
// with every string.
func trimLines(value string) string {
	if strings.IndexByte(value, '\n') < 0 {
		return strings.TrimSpace(value)
	}
	lines := strings.Split(value, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}

// cacheDurations reports whether the controller takes each of the durations,
// which are separated by commas: codes come before times, and there is a time.
func cacheDurations(value string) bool {
	for duration := range strings.SplitSeq(value, ",") {
		if duration = strings.TrimSpace(duration); duration == "" {
			continue
		}
		timed := false
		for element := range strings.SplitSeq(duration, " ") {
			switch {
			case element == "":
			case len(element) == 3 && digitSet.only(element):
				if timed {
					return false
				}
			case cacheTime.MatchString(element):
				timed = true
			}
		}
		if !timed {
			return false
		}
	}
	return true
}

var cacheTime = regexp.MustCompile(`^\d+(ms|s|m|h|d|w|M|y)$`)

// parseAuthURL is the controller's test of a URL that it can ask: absolute, with
// a host.
func parseAuthURL(value string) (*url.URL, bool) {
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "" || u.Host == "" || strings.Contains(u.Host, "..") {
		return nil, false
	}
	return u, true
}
