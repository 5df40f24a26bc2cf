import { KleisError } from '../errors.ts';
import { installPage } from '../install-page.ts';
import { clean } from '../text.ts';

/** What the `exec` section of a kubeconfig user says to run Kleis. */
export interface ExecEntry {
  readonly args: readonly string[];
  /** The launcher is for POSIX shells; `win32` has none. */
  readonly platform: string;
  /** As it stands in the kubeconfig. */
  readonly env?: readonly unknown[] | undefined;
  /** What whoever made the entry has to add, where the program is missing. */
  readonly hint?: string;
  /** Whether kubectl finds Kleis only as its own plugin, which is where krew puts it. */
  readonly isPlugin?: boolean;
}

/** What cmd.exe acts on, in quotes or not; npm's `kleis-get-token.cmd` is run by it, and Go quotes for other programs. */
const cmdActsOn = /["%^&|<>\r\n]/;
/** cmd.exe takes 8191 characters; some are for the paths. */
const cmdTakes = 7_500;

/** Throws `request_unsupported`: what would reach Kleis as something else, or not at all. */
function checkForCmd(args: readonly string[]): void {
  const odd = args.find((arg) => cmdActsOn.test(arg));
  if (odd !== undefined) {
    const what = `${clean(odd.split('=')[0], 60)} holds a character that cmd.exe acts on (" % ^ & | < >)`;
    throw new KleisError('request_unsupported', `${what}, and on Windows kubectl runs Kleis through it.`, {
      hint: 'Leave that character out, or say it in config.yaml where that has the setting.',
    });
  }
  const length = args.reduce((sum, arg) => sum + arg.length + 3, 0);
  if (length <= cmdTakes) return;
  throw new KleisError(
    'request_unsupported',
    `The entry has ${length} characters, more than cmd.exe takes on Windows.`,
    {
      hint: 'Name certificate authorities by file: --no-embed keeps their paths.',
    },
  );
}

/** The section as kubectl writes it, keys in its order (client-go, tools/clientcmd/api/v1, ExecConfig). Throws `request_unsupported`. */
export function execEntry({
  args: flags,
  platform,
  env,
  hint = '',
  isPlugin = false,
}: ExecEntry): Record<string, unknown> {
  if (platform === 'win32' && !isPlugin) checkForCmd(flags);
  // Not `kleis`: an allow-list (kuberc) that names it would allow more than to get a token.
  const usual = platform === 'win32' ? 'kleis-get-token' : 'kleis-credential';
  const args = isPlugin ? ['get-token', ...flags] : flags;
  return {
    apiVersion: 'client.authentication.k8s.io/v1',
    ...(args.length > 0 && { args: [...args] }),
    command: isPlugin ? 'kubectl-kleis' : usual,
    ...(env !== undefined && { env }),
    installHint: `Kleis signs you in to this cluster. To install it: npm install --global kleis, or see ${installPage}${hint}`,
    // A person may have to paste; where there is no terminal, everything else works.
    interactiveMode: 'IfAvailable',
    // A credential belongs to exactly one cluster: the plugin must know to which.
    provideClusterInfo: true,
  };
}
