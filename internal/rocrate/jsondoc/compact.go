package jsondoc

import (
	"math"
)

// AppendCompact appends v as a JSON text without white space, characters beyond ASCII
// as they are, of duplicate members the last value at the place of the first. What no
// JSON text can hold is replaced: numbers that are not finite by null, surrogates without partner by
// U+FFFD.
func (v Value) AppendCompact(dst []byte) []byte {
	switch v.Kind() {
	case Invalid:
		return append(dst, "null"...)
	case String:
		return AppendString(dst, v.Text())
	case Int:
		return append(dst, canonicalInt(v.Raw())...)
	case Float:
		f := v.Float()
		if math.IsInf(f, 0) || math.IsNaN(f) {
			return append(dst, "null"...)
		}
		return AppendFloat(dst, f)
	case Array:
		dst = append(dst, '[')
		for i, element := range v.Elements() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = element.AppendCompact(dst)
		}
		return append(dst, ']')
	case Object:
		return v.appendObject(dst)
	default:
		return append(dst, v.Raw()...)
	}
}

func (v Value) appendObject(dst []byte) []byte {
	dst = append(dst, '{')
	for i, m := range v.UniqueMembers() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(dst, m.Name)
		dst = append(dst, ':')
		dst = m.Value.AppendCompact(dst)
	}
	return append(dst, '}')
}

// Member is one member of an object.
type Member struct {
	Name  string
	Value Value
}

// UniqueMembers gives the members of an object: of duplicates the last value at the
// place of the first.
func (v Value) UniqueMembers() []Member {
	const few = 16
	var members []Member
	var index map[string]int
	for key, value := range v.Members() {
		name := key.Text()
		at := -1
		if index != nil {
			if i, ok := index[name]; ok {
				at = i
			}
		} else {
			for i := range members {
				if members[i].Name == name {
					at = i
				}
			}
		}
		if at >= 0 {
			members[at].Value = value
			continue
		}
		members = append(members, Member{name, value})
		if index != nil {
			index[name] = len(members) - 1
		} else if len(members) > few {
			index = make(map[string]int, 4*few)
			for i := range members {
				index[members[i].Name] = i
			}
		}
	}
	return members
}

// AppendString appends a text as a JSON string, characters beyond ASCII as they are.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' {
			dst = append(dst, s[from:i]...)
			dst = appendEscaped(dst, rune(c))
			from = i + 1
		}
	}
	return append(append(dst, s[from:]...), '"')
}
