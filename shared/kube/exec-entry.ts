/** What the `exec` section of a kubeconfig user says to run Kleis. */
export interface ExecEntry {
  readonly args: readonly string[];
  /** The launcher is for POSIX shells; `win32` has none. */
  readonly platform: string;
  /** As it stands in the kubeconfig. */
  readonly env?: readonly unknown[] | undefined;
  /** What whoever made the entry has to add, where the program is missing. */
  readonly hint?: string;
}

/** The section as kubectl writes it, keys in its order (client-go, tools/clientcmd/api/v1, ExecConfig). */
export function execEntry({ args, platform, env, hint = '' }: ExecEntry): Record<string, unknown> {
  return {
    apiVersion: 'client.authentication.k8s.io/v1',
    ...(args.length > 0 && { args: [...args] }),
    // Not `kleis`: an allow-list (kuberc) that names it would allow more than to get a token.
    command: platform === 'win32' ? 'kleis-get-token' : 'kleis-credential',
    ...(env !== undefined && { env }),
    installHint: `Kleis signs you in to this cluster. To install it: npm install --global kleis${hint}`,
    // A person may have to paste; where there is no terminal, everything else works.
    interactiveMode: 'IfAvailable',
    // A credential belongs to exactly one cluster: the plugin must know to which.
    provideClusterInfo: true,
  };
}
