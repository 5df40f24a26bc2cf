#!/bin/sh
# kleis-credential, the exec plugin that kubeconfigs name. kubectl runs it for every command, so it answers from the
# credential cache with the shell's own built-ins, in the time that a shell takes to start. Whatever it cannot answer,
# and whatever looks odd, it leaves to its sibling `kleis-get-token` (Node), which it then becomes.
#
# A shell reads as far as it gets: parts 1 to 3 answer a call, and what stands below costs nothing until it is needed.
#
# cli/credentials/cache.ts writes what is read here. Both know these files in the folder of credentials:
#
#   LA-LE-HASH          a credential: assignments of A (arguments), E (exec info), J (job), G (generation) and T (the text
#                       to print). LA and LE are the lengths of A and E in bytes, so that few files are opened. Its
#                       mtime is the end of its freshness: "newer than a file written just now" needs no clock.
#                       T is empty where there is nothing to print yet and only the name is needed. For Node alone there
#                       are S (of which session it is) and R (of which broker, grant and identity).
#   soon-LA-LE-HASH     its mtime is when a refresh in the background is due
#   forced-LA-LE-HASH   its mtime is when the next refresh may be forced
#   failed-LA-LE-HASH   what the last attempt failed with: assignments of O (its pid), Q (that of its parent), C (the
#                       exit code), M (what to print) and, for Node alone, K, X and H (the error's code, message, hint).
#                       Its mtime is how long those who waited are told so.
#   told-LA-LE-HASH     the parents of those who were told: a line W=$W,O-PARENT for each
#   claim-LA-LE-HASH    the process that is getting a new one; claim-LA-LE until Node, which can hash, has made the name
#   waiting-LA-LE-HASH  the pids of launchers that wait for that claim, one a line, or waiting-LA-LE: Node wakes them
#                       when it gives the claim back
#   asked-0 … asked-63  who asked last and what was answered: P (the parent's pid), N (name) and L (generation) of the
#                       credential. Written by everyone who asks, each is the stamp for "now".
#
# Only Node knows own-HASH, soon-own-…, asked-own-… and the like (credentials whose owner the variables of the job do
# not tell), broker-… and keyring-open.

# ---- 1. A shell in which nothing that was inherited has a say.

# An exported SHELLOPTS=xtrace would print the token, allexport pass it on; bash takes functions from the environment.
\set +aCefuvx
\unset -f command kill ls mkdir mv printf read readlink rm sleep test umask wait
umask 077
# Until the answer is printed there is nothing to run but built-ins, so that no process list can show the token.
search=${PATH:-/usr/local/bin:/usr/bin:/bin} PATH=/dev/null
# Lengths in bytes, and the same classes of characters everywhere.
locale=${LC_ALL-} LC_ALL=C

# ---- 2. What is asked for: exactly what decides about the answer, and the folder where it would be.

# Arguments and variables are made one text that no others give: their number, then one a line. What has a control
# character is in no credential: Node keeps none, and with a line break there are more lines than the number says.
newline='
'
IFS=$newline
arguments="$#$newline$*"
IFS=' '
# The job, since job B on a persistent runner must never get job A's credential (the matrix legs of a GitHub job differ
# in the URL only), and what says where sessions are kept.
job="10
${GITHUB_RUN_ID-}
${GITHUB_RUN_ATTEMPT-}
${GITHUB_JOB-}
${ACTIONS_ID_TOKEN_REQUEST_URL-}
${CI_JOB_ID-}
${CIRCLE_WORKFLOW_JOB_ID-}
${BUILDKITE_JOB_ID-}
${KLEIS_STATE_DIR-}
${XDG_STATE_HOME-}
${HOME-}"

# kubectl says `interactive` at the end, by whether there is a terminal; the answer is the same. Of every other spelling
# each byte counts, behind a mark that kubectl's never begins with.
given=${KUBERNETES_EXEC_INFO-}
given=${given%"$newline"}
exec_info=${given%\"interactive\":*}
test "$given" = "$exec_info\"interactive\":false}}" || test "$given" = "$exec_info\"interactive\":true}}" ||
  exec_info="=$given"

# The first that is named; part 4 looks for others, if it cannot be used.
folder=${KLEIS_CACHE_DIR:-${XDG_RUNTIME_DIR:-${XDG_CACHE_HOME:-${HOME:-.}/.cache}}/kleis}
folder=${folder%/}
slot=$folder/asked-$((PPID % 64))

# ---- 3. The answer from the cache.

# Node sees to the rights of the folder, which built-ins cannot read.
is_usable() {
  case $folder in /*) ;; *) return 1 ;; esac
  test -O "$folder/." && ! test -h "$folder" && test -w "$folder/."
}

# Finds the credential for what is asked: name (empty if there has never been one), generation G, text T, and whether it
# is fresh. Reads who asked last here (P), for which credential (N) of which generation (L), and writes that it was our
# parent. Fails where nothing can be written. It takes the arguments along for a trap, which may see them instead.
ask() {
  name='' fresh='' G='' T='' P='' N='' L=''
  test -h "$slot" && return 1
  if test -O "$slot"; then command . "$slot"; fi
  look "$@" 3<>"$slot"
}

# For `ask`: finds the credential; the slot is open for writing. Two who share it each write a whole record at its
# beginning; what is left of a longer one stands behind `return`.
look() {
  # The slot is thereby newer than whatever time has passed, and otherwise as it was.
  printf '#' >&3 || return
  for file in "$folder/${#arguments}-${#exec_info}-"*; do
    test -O "$file" && ! test -h "$file" || continue
    # The name goes into the slot, and is run from there. Others may rename what they cannot write.
    case ${file##*/} in *[!0-9a-f-]*) continue ;; esac
    A='' E='' J='' G='' T='' fresh=''
    # The time first: of a file that is replaced in between the text is newer than the time, and has just been fetched.
    # The other way round, an old text would pass for fresh by the time of the new one.
    test "$file" -nt "$slot" && fresh=yes
    command . "$file"
    if test "$A" = "$arguments" && test "$E" = "$exec_info" && test "$J" = "$job"; then name=${file##*/} && break; fi
    G='' T=''
  done
  case $T in '{'*'}') ;; *) fresh='' ;; esac
  printf '\nP=%s N=%s L=%s\nreturn\n' "$PPID" "$name" "$G" >&3
}

# Prints the credential and ends, or returns: then a new one is due, to be fetched behind kubectl's back.
answer() {
  trap - EXIT
  printf '%s\n' "$T" || exit
  case ${KLEIS_LOG-} in debug) printf 'debug: The credential %s is fresh.\n' "$folder/$name" >&2 ;; esac
  test "$slot" -nt "$folder/soon-$name" && test -e "$folder/soon-$name" || exit 0
}

asked='' due=''
case $arguments$newline in
  # A person who forces a sign-in must not get what is cached.
  *"$newline--force$newline"* | *"$newline--past-cache$newline"*) ;;
  *)
    if is_usable; then
      # A damaged file can end the shell: it begins again, and without the cache.
      trap 'PATH=$search LC_ALL=$locale; exec "$0" --past-cache "$@"' EXIT
      # What the shell has to say about it, Node says better.
      ask "$@" 2>/dev/null && asked=yes
      if test "$asked$fresh" = yesyes && ! test "$P-$N-$L" = "$PPID-$name-$G"; then
        answer
        due=yes
      fi
    fi
    ;;
esac

# ---- 4. What takes more: another folder, or Node.

# Assigning to a variable that was exported would hand the value to every process started from here.
unset C M O Q W above before claim control dead file flag idle known link mode node owner pause program rejected ten waited waiting woken

# In tenths of a second: how long an owner without a deadline may take to become Node, as in cli/files/claim.ts, and
# after how long without one ahead the queue is left.
start_time=150 patience=250

# Becomes Node, with the arguments given, under the same pid: by that Node knows the claim to be its own.
become_node() {
  trap - EXIT
  mode=${rejected:+--rejected}
  find_node
  exec ${node:+"$node" ${flag:+"$flag"}} "$program" ${mode:+"$mode"} "$@"
}

# Puts the environment in order for Node and finds the program: beside this one or, if this is a link of the person's
# own making, beside what it leads to. Of a program that any `node` can run, node is the one to run it, with a flag.
find_node() {
  PATH=$search flag=''
  # Node 20 parses its own 140 authorities even where another is named, unless it is to use OpenSSL's. Those have no say:
  # shared/net/trust.ts reads the variable, and names Node's own where nobody is named.
  case $newline$arguments in
    *"$newline--certificate-authority"*)
      flag=--use-openssl-ca
      export KLEIS_NODE_AUTHORITIES=openssl
      ;;
    *) unset KLEIS_NODE_AUTHORITIES ;;
  esac
  if test -n "$locale"; then LC_ALL=$locale; else unset LC_ALL; fi
  # Ours as far as part 3 has them, which unsets nothing: most calls start no process.
  unset A E G J L N P T arguments asked due exec_info folder fresh given job locale name search
  # What would make Node load code, write files, talk or trust where the person did not mean us.
  unset NODE_OPTIONS NODE_PATH NODE_REPL_EXTERNAL_MODULE NODE_V8_COVERAGE NODE_DEBUG NODE_DEBUG_NATIVE \
    NODE_REDIRECT_WARNINGS NODE_PENDING_DEPRECATION NODE_TLS_REJECT_UNAUTHORIZED NODE_PRESERVE_SYMLINKS \
    NODE_PRESERVE_SYMLINKS_MAIN NODE_ICU_DATA NODE_COMPILE_CACHE NODE_CHANNEL_FD NODE_UNIQUE_ID NODE_TEST_CONTEXT
  # Node reads this file at every start, slowly; shared/net/trust.ts reads it when a connection is made.
  if test -n "${NODE_EXTRA_CA_CERTS-}"; then
    export KLEIS_EXTRA_CA_CERTS="${KLEIS_EXTRA_CA_CERTS:-$NODE_EXTRA_CA_CERTS}"
    unset NODE_EXTRA_CA_CERTS
  fi
  # A version manager may put a process between this one and Node: whose pid is in the claim, and who asked.
  export KLEIS_LAUNCHER="$$ $PPID"

  program=$0 node=''
  case $program in */*) ;; *) program=$(command -v "$program") ;; esac
  while :; do
    case $program in */*) ;; *) break ;; esac
    case ${node:+known}$program in
      /*) if test -f "${program%/*}/node" && test -x "${program%/*}/node"; then node=${program%/*}/node; fi ;;
    esac
    for file in "${program%/*}/kleis-get-token" "${program%/*}/kleis-get-token.js"; do
      if test -x "$file"; then program=$file && choose_node && return; fi
    done
    test -h "$program" || break
    link=$(readlink "$program")
    case $link in /*) program=$link ;; *) program=${program%/*}/$link ;; esac
  done
  printf 'error: kleis-get-token is not beside %s.\nnext:  Install Kleis again.\n' "$0" >&2
  exit 6
}

# For a program that is run by whatever `node` is on PATH: the one beside us comes first, as a version manager lays it;
# where there is none (desktop programs have another PATH than a shell) the one that ran Kleis last. Any other program is
# run as it is: the standalone executable, which is also kleis, has Node in it.
choose_node() {
  link=''
  test "$program" -ef "${program%/*}/kleis" || read -r link <"$program"
  case $link in '#!'*/env\ node) ;; *) node='' && unset KLEIS_NODE_AUTHORITIES && return ;; esac
  case $program in -*) program=./$program ;; esac
  test -n "$node" && return
  command -v node >/dev/null && node=node && return
  case ${XDG_STATE_HOME-} in /*) file=$XDG_STATE_HOME/kleis ;; *) file=${HOME-}/.local/state/kleis ;; esac
  file=${KLEIS_STATE_DIR:-$file}/node
  case $file in /*) if test -O "$file" && ! test -h "$file"; then read -r node <"$file"; fi ;; esac
  case $node in /*/node) if test -x "$node"; then return; fi ;; esac
  # kubectl runs a plugin that fails up to six times: it is told once.
  test -h "$slot" || { printf '#\nP=%s N=no-node\nreturn\n' "$PPID" >"$slot"; } 2>/dev/null
  test "$before" != "$PPID-no-node" || exit 6
  printf 'error: There is no Node for Kleis: none beside %s, none on PATH.\n' "$0" >&2
  printf 'next:  Add its folder to the PATH of the program that runs kubectl, or run `kleis login` in a shell that has it.\n' >&2
  exit 6
}

# As credentialDirs in cli/settings/paths.ts: the first that can be used. A relative path of our own variable is an error
# that Node explains, any other is passed over.
choose_folder() {
  case ${KLEIS_CACHE_DIR:-/} in /*) ;; *) return 1 ;; esac
  for folder in "${KLEIS_CACHE_DIR-}" "${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/kleis}" \
    "${XDG_CACHE_HOME:+$XDG_CACHE_HOME/kleis}" "${HOME:+$HOME/.cache/kleis}"; do
    folder=${folder%/}
    case $folder in /*) ;; *) continue ;; esac
    is_usable && return
    if test -e "$folder" || test -h "$folder"; then continue; fi
    # The folder of a login session is made by the system.
    if test "$folder" = "${XDG_RUNTIME_DIR-}/kleis" && ! test -d "$XDG_RUNTIME_DIR"; then continue; fi
    above=${folder%/*}
    while test -n "$above" && ! test -e "$above"; do above=${above%/*}; done
    above=${above:-/}
    # Only in what is ours: a folder of root's in a user's runtime folder (`sudo -E`) would lock that user out. What root
    # has opened to everybody will do as well, and only Node can tell whose it is.
    if ! test -O "$above"; then
      if ! test -O / && test -w "$above"; then return 1; fi
      continue
    fi
    PATH=$search
    mkdir -p "$folder" 2>/dev/null && return
    PATH=/dev/null
  done
  return 1
}

# A terminal, and nothing else, reads what is merely good to know.
say() {
  case ${KLEIS_LOG-} in silent | error) return ;; esac
  if test -t 2; then printf '%s\n' "$1" >&2; fi
}

# What to do about the answer. Who asks a second time for a credential that is still fresh was very likely refused with
# it (401). That is worth a refresh, but not many: other programs ask twice without reason.
consider() {
  test -n "$fresh" || return
  if test "$P-$N-$L" = "$PPID-$name-$G"; then
    if may_force; then
      rejected=$G
      return
    fi
    say 'The API server seems to have refused this token. Why: kleis doctor'
  fi
  answer
  refresh_behind "$@"
}

may_force() {
  ! test "$folder/forced-$name" -nt "$slot"
}

# Makes a file with our pid in it, unless there is one. A disk that has no room for a pid has none for a queue.
claim_file() {
  set -C
  if ! { command : >"$1"; } 2>/dev/null; then
    set +C
    return 1
  fi
  set +C
  { printf '%s\n' "$$" >"$1"; } 2>/dev/null && return
  rm -f "$1"
  idle=$patience
  return 1
}

# The pid in the claim; 0 if it is gone again, or not written yet.
read_owner() {
  owner=0
  { read -r owner <"$claim"; } 2>/dev/null
  case $owner in '' | *[!0-9]*) owner=0 ;; esac
}

# One process gets the claim, and with it the right to start Node. Fails if another one has it; owner is then its pid.
take_claim() {
  claim_file "$claim" && return
  read_owner
  if test "$idle" -le "$start_time"; then
    if test "$owner" != "$$" && { test "$owner" = 0 || kill -0 "$owner" 2>/dev/null; }; then return 1; fi
  fi
  # The claim of a dead process is replaced by whoever makes the file of its succession. The second look at the claim is
  # what makes that safe: nobody else may replace this owner's claim meanwhile.
  dead=$owner
  claim_file "$claim.$dead" || return
  read_owner
  if test "$owner" = "$dead" && mv -f "$claim.$dead" "$claim" 2>/dev/null; then return; fi
  rm -f "$claim.$dead"
  return 1
}

# Starts Node and waits for nothing: an open descriptor of kubectl's would hold it up. The claim passes to Node's pid.
refresh_behind() {
  trap - EXIT
  unset T
  PATH=$search idle=0
  exec </dev/null >/dev/null 2>&1
  claim=$folder/claim-$name
  take_claim || exit 0
  # Somebody may have been quicker, between our look and our claim.
  if ! ask "$@" || test "$folder/soon-$name" -nt "$slot"; then
    rm -f "$claim"
    exit 0
  fi
  find_node
  ${node:+"$node" ${flag:+"$flag"}} "$program" --background "$@" &
  printf '%s\n' "$!" >"$claim"
  exit 0
}

trap 'become_node "$@"' EXIT
if test -n "$due"; then refresh_behind "$@"; fi
if test "${1-}" = --past-cache; then
  shift
  become_node "$@"
fi
case $arguments$newline in *"$newline--force$newline"*) become_node "$@" ;; esac
# No credential is kept for what has a control character beside the line breaks that part 2 puts between, so nobody waits.
control='*[[:cntrl:]]'
case $* in $control*) become_node "$@" ;; esac
ten=$control$control$control$control$control$control$control$control$control$control
case $job in $ten$control*) become_node "$@" ;; esac
if test -z "$asked"; then
  choose_folder || become_node "$@"
  slot=$folder/asked-$((PPID % 64))
  ask "$@" 2>/dev/null || become_node "$@"
fi
# Whether our parent was told already that there is no Node; a person is told each time.
before=$P-$N
if test "$exec_info" = '='; then before=''; fi
consider "$@"

# ---- 5. The queue: one process becomes Node, the others wait for what it brings.

PATH=$search
unset T

is_answered() {
  test -n "$fresh" && { test "$G" != "$rejected" || ! may_force; }
}

# Looks whether the last attempt failed and that is our business: we waited for it, or our parent has been told already
# (kubectl runs a plugin that fails up to six times). A new kubectl tries anew. A refusal that is only guessed has none.
is_told() {
  test -z "$rejected" || return
  file=$folder/failed-$name
  test "$file" -nt "$slot" && test -O "$file" && ! test -h "$file" || return
  # What others can write may be their work, and would be run here. It takes a program to see that.
  case $(ls -ldn "$folder/." 2>/dev/null) in d????-??-*) ;; *) become_node "$@" ;; esac
  O='' Q='' C='' M='' W=''
  { command . "$file" && command . "$folder/told-$name"; } 2>/dev/null
  case $W,$Q- in *",$O-$PPID,"* | *",$PPID-") known=yes ;; *) known='' ;; esac
  # An owner whose pid could not be read (0) had just ended, or just begun.
  test -n "$known" || test "$O" = "$owner" || test "$owner" = 0
}

# Fails as the last attempt did; a client that was told already is spared the words. Who says nothing may be a person.
tell() {
  trap - EXIT
  if test "$exec_info" = '='; then known=''; fi
  case $known${KLEIS_LOG-} in
    silent | yes | yessilent | yeserror | yesinfo) ;;
    *) printf '%s\n' "$M" >&2 ;;
  esac
  # shellcheck disable=SC2016
  test -n "$known" || { printf 'W=$W,%s-%s\n' "$O" "$PPID" >>"$folder/told-$name"; } 2>/dev/null
  case $C in '' | *[!0-9]* | 0) C=1 ;; esac
  exit "$C"
}

# Sleeps so many seconds, or until the claim that we wait for is given back. Fails where `sleep` does.
rest() {
  woken=''
  waiting=$folder/waiting-${claim##*/claim-}
  if ! test -h "$waiting"; then { printf '%s\n' "$$" >>"$waiting"; } 2>/dev/null; fi
  # Who gives it back reads only then whom to wake.
  test -e "$claim" || return 0
  sleep "$1" </dev/null >/dev/null 2>&1 &
  test -n "$woken" || wait "$!" || test -n "$woken" || return
  test -z "$woken" || kill "$!" 2>/dev/null
  return 0
}

# A signal that ends nobody whom it reaches by mistake.
trap 'woken=yes' CONT

# In tenths of a second: the next pause, how long we have waited, and how long for an owner without a deadline ahead.
pause=6 waited=0 idle=0
owner=nobody
if is_told "$@"; then tell; fi
while :; do
  claim=$folder/claim-${name:-${#arguments}-${#exec_info}}
  if take_claim; then
    # What did we miss since we last looked? If nothing, it is our turn.
    ask "$@" 2>/dev/null || become_node "$@"
    if ! is_answered && ! is_told "$@" && test "$claim" = "$folder/claim-${name:-${#arguments}-${#exec_info}}"; then
      become_node "$@"
    fi
    rm -f "$claim"
    if is_answered; then answer && refresh_behind "$@"; fi
    if is_told "$@"; then tell; fi
    # The name has been made meanwhile: the claim to have is another.
    continue
  fi

  # Another's claim, which none of ours waits for: Node judges the folder.
  if ! test -O "$claim" && test -e "$claim"; then become_node "$@"; fi

  rest "$((pause / 10)).$((pause % 10))" || rest 1 || become_node "$@"
  waited=$((waited + pause))
  # Node sets its deadline as the mtime of its claim. Without one, or past it, it is given time to start, and no more.
  if test "$claim" -nt "$slot"; then idle=0; else idle=$((idle + pause)); fi
  # Who gets a credential wakes us; each look of our own costs all who wait what it costs one.
  pause=10

  ask "$@" 2>/dev/null || become_node "$@"
  if is_answered; then answer && refresh_behind "$@"; fi
  if is_told "$@"; then tell; fi
  if test "$idle" -gt "$patience"; then become_node "$@"; fi
  if test "$waited" -ge 10 && test "$((waited - pause))" -lt 10; then
    say "Waiting for process $owner, which is getting a credential."
  fi
done
