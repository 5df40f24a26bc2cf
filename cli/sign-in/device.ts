import { encode } from 'uqr';
import { KleisError } from '../../shared/errors.ts';
import { isHttpsOrLoopback } from '../../shared/net/url.ts';
import { clean } from '../../shared/text.ts';
import { makeSecrets } from '../provider/authorization-request.ts';
import type { DeviceCode, PollResult } from '../provider/device-code.ts';
import { endpoint } from '../provider/discovery.ts';
import type { TokenSet } from '../provider/tokens.ts';
import type { Deps } from '../surroundings/deps.ts';
import { useColour } from '../../shared/colour.ts';
import { nobodyReads, nobodyThere } from './choice.ts';
import { purpose, type SignInContext, WayFailed } from './context.ts';

const longestInterval = 60_000;
/** RFC 8628 wants the provider to say; this is what those that do say. */
const defaultLifetime = 600_000;

/**
 * Shows a code and waits until the person has used it on any device (RFC 8628). Throws `WayFailed` (this client gets no
 * code, or may not use it), `sign_in_timeout` (the code has expired, or the time is up), `sign_in_refused`, and the
 * signal's reason.
 */
export async function signInWithDevice(context: SignInContext): Promise<TokenSet> {
  const { provider, settings, deps, signal } = context;
  if (nobodyReads(deps)) throw nobodyThere('Nobody reads the code that Kleis writes');
  if (endpoint(provider.metadata, 'device_authorization_endpoint') === undefined) {
    throw new KleisError('sign_in_refused', 'The provider offers no sign-in with a device code.', {
      hint: 'Use --login browser or --login paste.',
    });
  }
  const started = deps.clock.now();
  const { verifier } = makeSecrets(settings);
  const dpop = await provider.dpopKey();
  const { code, shown } = await start(context, verifier).catch(leaveThisWay);
  const lifetime = code.expiresIn === undefined ? defaultLifetime : code.expiresIn * 1000;
  const deadline = Math.min(deps.clock.now() + lifetime, started + settings.loginTimeout);
  announce(shown, context);
  const countdown = createCountdown(deps);
  // RFC 8628 section 3.5: five seconds if nothing is said, and five more after each `slow_down`.
  let interval = Math.min(Math.max((code.interval ?? 5) * 1000, 1000), longestInterval);
  try {
    for (;;) {
      for (let wake = deps.clock.now() + interval; deps.clock.now() < wake;) {
        const now = deps.clock.now();
        if (now >= deadline) throw expired(lifetime < settings.loginTimeout);
        countdown.show(deadline - now);
        await deps.clock.sleep(Math.min(1000, wake - now, deadline - now), signal);
      }
      const result = await attempt(() => provider.pollDevice(code.deviceCode, verifier, dpop), deps).catch(
        leaveIfRefused,
      );
      if (result === 'expired') throw expired(true);
      if (result === 'slow_down') interval = Math.min(interval + 5000, longestInterval);
      // Section 3.5 again: a network that fails is to be asked less often, and given up only with the code.
      else if (result === 'unreachable') interval = Math.min(interval * 2, longestInterval);
      else if (result !== 'pending') return result;
    }
  } finally {
    countdown.clear();
  }
}

interface Shown {
  readonly uri: string;
  readonly complete: string | undefined;
  readonly userCode: string;
}

async function start({ provider }: SignInContext, verifier: string): Promise<{ code: DeviceCode; shown: Shown }> {
  const code = await provider.startDevice(verifier);
  const uri = usableUri(code.verificationUri);
  if (uri === undefined) {
    throw new KleisError(
      'provider_invalid',
      `The provider sends people to an address that is not https: ${clean(code.verificationUri)}.`,
    );
  }
  // Only a convenience: without it the code is typed.
  const complete = code.verificationUriComplete === undefined ? undefined : usableUri(code.verificationUriComplete);
  return { code, shown: { uri, complete, userCode: clean(code.userCode, 64) } };
}

function leaveThisWay(error: unknown): never {
  // A scope is refused whatever the way; anything else may be about this one only.
  if (!(error instanceof KleisError) || error.code === 'interrupted' || error.code === 'token_unusable') throw error;
  throw new WayFailed(error.code, error.message, { hint: error.hint, cause: error });
}

/** Some give a code to every client, and say only afterwards that this one may not use it. */
function leaveIfRefused(error: unknown): never {
  if (error instanceof KleisError && error.code === 'client_refused') leaveThisWay(error);
  throw error;
}

async function attempt(poll: () => Promise<PollResult>, { report }: Deps): Promise<PollResult | 'unreachable'> {
  try {
    return await poll();
  } catch (error) {
    if (!(error instanceof KleisError) || error.code !== 'provider_unavailable') throw error;
    report.debug('the provider cannot be reached; asking again', { why: error.message });
    return 'unreachable';
  }
}

function expired(ofTheCode: boolean): KleisError {
  return new KleisError(
    'sign_in_timeout',
    ofTheCode ? 'The code has expired before it was used.' : 'Nobody used the code in time.',
  );
}

function announce({ uri, complete, userCode }: Shown, context: SignInContext): void {
  const { deps } = context;
  const { report, stderr, env } = deps;
  const bold = (text: string) => (useColour(stderr, env) ? `\u001b[1m${text}\u001b[22m` : text);
  const qr = complete === undefined ? undefined : qrCode(complete, deps);
  report.info(
    `\nTo sign in ${purpose(context)}, open this address on any device:\n\n    ${bold(uri)}\n\nand enter this code:\n\n    ${bold(userCode)}\n`,
  );
  if (qr !== undefined) report.info(`or scan this, and check that it shows the same code:\n\n${qr}`);
}

/** It is printed, scanned and opened: https only (http where it cannot leave this machine), and free of control characters. */
function usableUri(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null || !isHttpsOrLoopback(url) || url.username !== '' || url.href.length > 1000) return undefined;
  return clean(url.href, 1000);
}

/** A QR code of half blocks, dark on light whatever the theme; nothing where it would not fit or not show. */
function qrCode(text: string, { stderr, env, platform }: Deps): string | undefined {
  if (!canRedraw({ stderr, env })) return undefined;
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || (platform === 'win32' ? 'utf-8' : '');
  if (!/utf-?8/i.test(locale)) return undefined;
  const { data, size } = encode(text, { ecc: 'L', border: 2 });
  if (stderr.columns < size + 4 || stderr.rows < size / 2 + 12) return undefined;
  const isDark = (row: number, column: number) => data[row]?.[column] === true;
  // The colours are explicit: a code with light and dark exchanged is not read by every scanner.
  const [from, to] = useColour(stderr, env) ? ['\u001b[97;40m', '\u001b[0m'] : ['', ''];
  const lines: string[] = [];
  for (let row = 0; row < size; row += 2) {
    let line = '';
    for (let column = 0; column < size; column += 1) {
      const [above, below] = [isDark(row, column), row + 1 >= size || isDark(row + 1, column)];
      line += above ? (below ? ' ' : '▄') : below ? '▀' : '█';
    }
    lines.push(`  ${from}${line}${to}`);
  }
  return `${lines.join('\n')}\n`;
}

function canRedraw({ stderr, env }: Pick<Deps, 'stderr' | 'env'>): boolean {
  return stderr.isTTY && env['TERM'] !== 'dumb';
}

/** One line that is rewritten, on a terminal that can; elsewhere nothing. */
function createCountdown({ stderr, env, report }: Deps): { show(left: number): void; clear(): void } {
  const live = canRedraw({ stderr, env }) && report.level !== 'silent' && report.level !== 'error';
  let shown = '';
  return {
    show(left) {
      const seconds = Math.ceil(left / 1000);
      const text = `Waiting for you to sign in … ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} left`;
      if (!live || text === shown) return;
      shown = text;
      stderr.write(`\r\u001b[K${text}`);
    },
    clear() {
      if (shown !== '') stderr.write('\r\u001b[K');
    },
  };
}
