/** The variables that Kleis reads, beside those of CI platforms (docs/ci.md). For `kleis config --help` and docs/cli.md. */
export const environment: Readonly<Record<string, { readonly help: string; readonly reference?: string }>> = {
  KLEIS_STATE_DIR: {
    help: 'where sessions are kept',
    reference:
      'where sessions are kept; else `$XDG_STATE_HOME/kleis`, else `~/.local/state/kleis` (Windows: `%LOCALAPPDATA%\\kleis`)',
  },
  KLEIS_CACHE_DIR: {
    help: 'where credentials are kept',
    reference:
      'where credentials are kept; else `$XDG_RUNTIME_DIR/kleis`, else `$XDG_CACHE_HOME/kleis`, else `~/.cache/kleis`',
  },
  KLEIS_LOG: {
    help: 'silent, error, info or debug',
    reference: '`silent`, `error`, `info` (the default) or `debug`; anything else gets a warning',
  },
  KUBECONFIG: { help: 'as for kubectl' },
  HTTPS_PROXY: { help: 'the proxy for https; never for loopback' },
  NO_PROXY: { help: 'hosts, domains, addresses and networks that no proxy is used for' },
  NODE_EXTRA_CA_CERTS: {
    help: 'further authorities, as for any Node program',
    reference:
      'further authorities, as for any Node program. The launcher hands it on as `KLEIS_EXTRA_CA_CERTS`, which is read only when a connection is made',
  },
  'BROWSER, DISPLAY, WAYLAND_DISPLAY': { help: 'say with --login auto that a browser can open' },
  'SSH_CONNECTION, SSH_CLIENT, SSH_TTY': { help: 'say with --login auto that none can' },
  'NO_COLOR, FORCE_COLOR': { help: 'colour off, on' },
};
