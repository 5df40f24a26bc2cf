/** The variables that Kleis reads, beside those of CI platforms (docs/ci/README.md). For `kleis config --help` and docs/cli.md. */
export const environment: Readonly<Record<string, { readonly help: string; readonly reference?: string }>> = {
  KLEIS_STATE_DIR: {
    help: 'where sessions are kept',
    reference:
      'where sessions are kept; else `$XDG_STATE_HOME/kleis`, else `~/.local/state/kleis` (Windows: `%LOCALAPPDATA%\\kleis`)',
  },
  KLEIS_CACHE_DIR: {
    help: 'where credentials are kept',
    reference:
      'where credentials are kept; else `$XDG_RUNTIME_DIR/kleis`, else `$XDG_CACHE_HOME/kleis`, else `~/.cache/kleis`: the first of these that can be used',
  },
  KLEIS_LOG: {
    help: 'silent, error, info or debug',
    reference: '`silent`, `error`, `info` (the default) or `debug`; anything else gets a warning',
  },
  KUBECONFIG: { help: 'as for kubectl' },
  'HTTPS_PROXY, ALL_PROXY': {
    help: 'the proxy for https; never for loopback',
    reference:
      'the proxy for https, the first if both are set; never for loopback. `http://`, `https://`, `socks5://` or `socks5h://`; a SOCKS proxy looks names up, as for kubectl',
  },
  NO_PROXY: { help: 'hosts, domains, addresses and networks that no proxy is used for' },
  'SSL_CERT_FILE, SSL_CERT_DIR': {
    help: "authorities in place of the system's, as Go programs read them",
    reference:
      "authorities in place of the system's bundle and folders, as Go programs read them (kubectl, helm). They are asked about a server that Node's own list does not vouch for, unless an authority is named ([decision 12](decisions/0012-authorities-of-the-machine.md))",
  },
  NODE_EXTRA_CA_CERTS: {
    help: 'further authorities, as for any Node program',
    reference:
      'further authorities, as for any Node program. The launcher hands it on as `KLEIS_EXTRA_CA_CERTS`, which is read only when a server needs it',
  },
  'NODE_OPTIONS, NODE_TLS_REJECT_UNAUTHORIZED': { help: 'cannot switch the verification of certificates off' },
  BROWSER: {
    help: 'opens the address where browserCommand says nothing',
    reference:
      'opens the address where `browserCommand` says nothing: a program, or several divided by colons, `%s` for the address. With `--login auto` it says that a browser can open; over SSH and in a container only if it is none that opens there (firefox, xdg-open). Text browsers do not count',
  },
  'DISPLAY, WAYLAND_DISPLAY': { help: 'say with --login auto that a browser can open' },
  'SSH_CONNECTION, SSH_CLIENT, SSH_TTY': { help: 'say with --login auto that none can' },
  'CI, TF_BUILD, TEAMCITY_VERSION, CODEBUILD_BUILD_ID, JENKINS_HOME': {
    help: 'say with --login auto that nobody is there to sign in',
    reference: 'say with `--login auto` that nobody is there to sign in; `CI` by any word but `0`, `false` and `no`',
  },
  'NO_COLOR, FORCE_COLOR': { help: 'colour off, on' },
};
