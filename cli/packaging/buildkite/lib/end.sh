# What a job does last, in the POSIX shell of any platform. cli/packaging/shell/end.sh is the source of the files that hold
# this text; `npm run generate` puts it there.

# Takes back what was got with each context of KUBECONFIG, and removes FOLDER. It fails no job: what is not taken back
# ends by itself.
kleis_end() { # FOLDER
  if [ -f "${KUBECONFIG-}" ]; then
    kleis kubeconfig list --kubeconfig="$KUBECONFIG" --output=name | while read -r kleis_context; do
      kleis revoke --context="$kleis_context" --kubeconfig="$KUBECONFIG" </dev/null ||
        printf 'warning: What was got with %s was not taken back; it ends by itself when its time is over.\n' "$kleis_context" >&2
    done
  fi
  rm -rf "$1"
}
