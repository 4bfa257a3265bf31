# shellcheck shell=sh
# p11shim-elf.sh: what an ELF file says of itself, read as bytes: which machine it is made for,
# its dynamic linker, its dynamic section. Part of p11shim, read by it.
#
# What it sets others read (SC2034).
# shellcheck disable=SC2034

# Numbers of words of SIZE bytes: words FILE OFFSET BYTES SIZE
words() {
	od -A n -v -t "u$4" -j "$2" -N "$3" -- "$1" 2>/dev/null
}

# read_elf FILE [machine]: fails if it is no program or library that can be read. Sets
#   elf_machine     CLASS/MACHINE, by their numbers in ELF: 2/62 is x86-64
# and, unless no more is asked for, or its byte order is the other one,
#   elf_interp      its dynamic linker, empty if it has none
#   elf_dynamic     the address of its dynamic section, empty if it has none
#   elf_segments    of each loaded segment ADDRESS OFFSET SIZE
# and what read_dynamic does
read_elf() {
	elf_machine='' elf_interp='' elf_dynamic='' elf_segments='' elf_sound='' elf_strings='' extent=${2-all}
	# shellcheck disable=SC2046 # numbers
	set -- "$1" $(words "$1" 0 64 1)
	[ $# -ge 59 ] && [ "$2 $3 $4 $5" = '127 69 76 70' ] || return 1
	if [ "$7" -eq 2 ]; then
		elf_machine=$6/$((${20} * 256 + ${21}))
		return
	fi
	elf_machine=$6/$((${20} + ${21} * 256))
	if [ "$extent" = machine ]; then
		return
	fi
	case ${18}/${19} in
	2/0 | 3/0) ;;
	*) return 1 ;;
	esac
	if [ "$6" -eq 2 ]; then
		read_segments 64 "$1" $((${34} + ${35} * 256 + ${36} * 65536 + ${37} * 16777216)) \
			$((${56} + ${57} * 256)) $((${58} + ${59} * 256))
	else
		read_segments 32 "$1" $((${30} + ${31} * 256 + ${32} * 65536 + ${33} * 16777216)) \
			$((${44} + ${45} * 256)) $((${46} + ${47} * 256))
	fi && read_dynamic "$1"
}

# read_segments BITS FILE OFFSET SIZE COUNT: the program headers, as many as the kernel reads.
read_segments() {
	bits=$1 file_=$2 each=$(($4 / 4))
	[ $((bits == 64 && $4 == 56 || bits == 32 && $4 == 32)) -eq 1 ] || return 1
	count=$5
	[ "$count" -gt 0 ] && [ $(($4 * count)) -le 65536 ] || return 1
	# shellcheck disable=SC2046 # numbers
	set -- $(words "$2" "$3" $(($4 * count)) 4)
	[ $# -eq $((each * count)) ] || return 1
	while [ $# -gt 0 ]; do
		if [ "$bits" -eq 64 ]; then
			segment "$1" $(($3 + $4 * 4294967296)) $(($5 + $6 * 4294967296)) $(($9 + ${10} * 4294967296))
		else
			segment "$1" "$2" "$3" "$5"
		fi || return 1
		shift "$each"
	done
}

# segment TYPE OFFSET ADDRESS SIZE: fails where the kernel would.
segment() {
	case $1 in
	1) elf_segments="$elf_segments $3 $2 $4" ;;
	2) elf_dynamic="$elf_dynamic $3" ;;
	3)
		[ "$4" -ge 2 ] && [ "$4" -le 4096 ] || return 1
		elf_interp=$(dd bs=1 "if=$file_" "skip=$2" "count=$4" 2>/dev/null | tr '\000' '\n' | sed 1q)
		[ -n "$elf_interp" ]
		;;
	esac
}

# The file offset of an address: offset_of ADDRESS SEGMENTS... Segments are mapped by pages;
# where one may hide another, it fails.
offset_of() {
	address=$1 offset=''
	shift
	while [ $# -ge 3 ]; do
		if [ "$address" -ge $(($1 / 4096 * 4096)) ] && [ "$address" -lt $((($1 + $3 + 4095) / 4096 * 4096)) ]; then
			[ -z "$offset" ] || return 1
			offset=$((address - $1 + $2))
		fi
		shift 3
	done
	[ -n "$offset" ] && echo "$offset"
}

# read_dynamic FILE: its dynamic section, as the dynamic linker will find it. Sets
#   elf_sound       not empty if that can be told
#   elf_strings     where the strings lie that it refers to, in the file
#   elf_auditors    not empty if it names auditors (DT_AUDIT, DT_DEPAUDIT)
#   elf_library     not empty if it has a name for others, or needs libraries itself
read_dynamic() {
	elf_sound='' elf_strings='' elf_auditors='' elf_library='' file_=$1
	[ -n "$elf_dynamic" ] || return 0
	# shellcheck disable=SC2086 # numbers; two sections are none
	at=$(offset_of $elf_dynamic $elf_segments) || return 0
	# shellcheck disable=SC2046 # numbers
	set -- $(words "$file_" "$at" 32768 4)
	while [ $# -ge 4 ]; do
		case $elf_machine in
		2/*) tag=$(($1 + $2 * 4294967296)) value=$(($3 + $4 * 4294967296)) ;;
		*) tag=$1 value=$2 ;;
		esac
		case $tag in
		0)
			elf_sound=yes
			return
			;;
		1 | 14) elf_library=yes ;;
		5)
			# shellcheck disable=SC2086 # numbers
			elf_strings=$(offset_of "$value" $elf_segments)
			;;
		1879047931 | 1879047932) elf_auditors=yes ;;
		esac
		shift $((bits / 16))
	done
}

# elf_names FILE: after read_elf, the first strings that its dynamic section refers to: the
# libraries that it needs are among them. A line each; 256 kB, which sanitized programs reach.
elf_names() {
	[ -z "$elf_strings" ] ||
		dd bs=4096 "if=$1" skip=$((elf_strings / 4096)) count=64 2>/dev/null | tr '\000' '\n'
}

machine_name() {
	case $1 in
	2/62) echo x86-64 ;;
	1/3) echo i386 ;;
	2/183) echo aarch64 ;;
	1/62) echo x32 ;;
	1/40) echo 32-bit ARM ;;
	2/243) echo riscv64 ;;
	2/21) echo ppc64 ;;
	2/22) echo s390x ;;
	*) echo "machine ${1#*/} in ELF's list, $((${1%/*} * 32)) bits" ;;
	esac
}

# Sets native: this machine, which is its shell's.
native_machine() {
	read_elf /bin/sh machine
	native=$elf_machine
	[ -n "$native" ] || misused 'od(1) is missing here, without which no program can be looked at'
}
