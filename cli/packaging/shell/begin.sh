# What a job does first, in the POSIX shell of any platform. cli/packaging/shell/begin.sh is the source of the files that hold
# this text; `npm run generate` puts it there.

kleis_fail() { # WHAT WHAT-TO-DO
  printf 'error: %s\nnext:  %s\n' "$1" "$2" >&2
  return 1
}

# Puts the programs of exactly this version into FOLDER/bin, unless they are on PATH: from the archive of the release,
# or of FROM, whose SHA-256 is checked.
kleis_install() { # VERSION FROM SHA256 FOLDER
  if [ -x "$4/bin/kleis" ]; then return 0; fi
  if [ -z "$3" ] && [ "$(kleis --version 2>/dev/null)" = "$1" ]; then return 0; fi
  case $(uname -sm) in
    'Linux x86_64') kleis_archive=kleis-$1-linux-x64.tar.gz ;;
    'Linux aarch64') kleis_archive=kleis-$1-linux-arm64.tar.gz ;;
    'Darwin x86_64') kleis_archive=kleis-$1-darwin-x64.tar.gz ;;
    'Darwin arm64') kleis_archive=kleis-$1-darwin-arm64.tar.gz ;;
    *) kleis_archive= ;;
  esac
  case $(ldd --version 2>&1 </dev/null) in *musl*) kleis_archive= ;; esac
  if [ -z "$kleis_archive" ]; then
    kleis_fail "There is no program of Kleis for this system ($(uname -sm), or one with musl)." \
      "Put Node 20.20 or later into the image, and kleis@$1 by npm install --global."
    return 1
  fi
  kleis_from=${2:-https://github.com/kleis-dev/kleis/releases/download/v$1}
  kleis_wanted=$3
  mkdir "$4/unpacked" || return 1
  kleis_fetch "$kleis_from" "$kleis_archive" "$4" || return 1
  if [ -z "$kleis_wanted" ]; then
    kleis_fetch "$kleis_from" SHA256SUMS "$4" || return 1
    while read -r kleis_sum kleis_name; do
      if [ "${kleis_name#\*}" = "$kleis_archive" ]; then kleis_wanted=$kleis_sum; fi
    done <"$4/SHA256SUMS"
  fi
  if command -v sha256sum >/dev/null; then
    kleis_sum=$(sha256sum "$4/$kleis_archive")
  else
    kleis_sum=$(shasum -a 256 "$4/$kleis_archive")
  fi || return 1
  if [ "${kleis_sum%% *}" != "$kleis_wanted" ]; then
    kleis_fail "$kleis_archive of $kleis_from has the SHA-256 ${kleis_sum%% *}, not ${kleis_wanted:-one that SHA256SUMS says}: it is not installed." \
      'If you gave sha256, correct it; else somebody or something between has changed the file.'
    return 1
  fi
  tar -xzf "$4/$kleis_archive" -C "$4/unpacked" || return 1
  mv "$4/unpacked/${kleis_archive%.tar.gz}" "$4/bin" || return 1
  rm -f "$4/$kleis_archive"
  [ -x "$4/bin/kleis" ] || kleis_fail "$kleis_archive holds no kleis." 'Look at what download names.'
}

# BusyBox has one that takes any certificate. A sum that was given makes up for it.
kleis_may_wget() {
  command -v wget >/dev/null || return 1
  [ -n "$kleis_wanted" ] && return 0
  case $(wget --version 2>/dev/null) in 'GNU Wget'*) return 0 ;; *) return 1 ;; esac
}

kleis_fetch() { # FROM NAME FOLDER
  case $1 in
    https://*)
      if command -v curl >/dev/null; then
        curl --fail --silent --show-error --location --proto =https --retry 3 --output "$3/$2" "$1/$2"
      elif kleis_may_wget; then
        wget -q -O "$3/$2" "$1/$2"
      else
        kleis_fail 'There is neither curl nor a wget that checks certificates to download Kleis with.' \
          'Put curl into the image, or give sha256, or use an image that has Kleis: ghcr.io/kleis-dev/kleis-ci, with kubectl.'
        return 1
      fi
      ;;
    *) cp "$1/$2" "$3/$2" ;;
  esac || {
    kleis_fail "$1/$2 cannot be had." \
      'Run the job again; where the runner does not reach it, let download name a mirror (https) or a folder.'
  }
}

# Writes the context into KUBECONFIG: of KLEIS_BROKER, with those of the other variables that say something.
kleis_add() { # [FLAG…]
  kleis kubeconfig add ${KLEIS_NAME:+"$KLEIS_NAME"} --from="$KLEIS_BROKER" --current --yes --kubeconfig="$KUBECONFIG" \
    ${KLEIS_GRANT:+"--grant=$KLEIS_GRANT"} ${KLEIS_CLUSTER:+"--cluster=$KLEIS_CLUSTER"} \
    ${KLEIS_NAMESPACE:+"--namespace=$KLEIS_NAMESPACE"} ${KLEIS_TTL:+"--ttl=$KLEIS_TTL"} \
    ${KLEIS_AUDIENCE:+"--audience=$KLEIS_AUDIENCE"} \
    ${KLEIS_BROKER_CERTIFICATE_AUTHORITY:+"--broker-certificate-authority=$KLEIS_BROKER_CERTIFICATE_AUTHORITY"} "$@"
}
