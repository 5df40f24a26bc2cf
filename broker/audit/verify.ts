import { clean } from '../../shared/text.ts';
import type { Anchor } from './anchors.ts';
import { isStart, type Sealed, unseal } from './chain.ts';
import { looksLikeOurs, maxLine, withoutPrefix } from './entries.ts';
import { openSource } from './source.ts';

export interface AuditFault {
  readonly kind: 'edited' | 'contradiction' | 'gap' | 'cut' | 'rewritten' | 'missing' | 'damaged';
  readonly chain: string | undefined;
  /** `file:line`, where there is one. */
  readonly place: string | undefined;
  readonly message: string;
}

export interface ChainReport {
  readonly chain: string;
  readonly first: number;
  readonly last: number;
  /** RFC 3339, as its lines say. */
  readonly from: string;
  readonly to: string;
  readonly lines: number;
  /** The replica said goodbye; if not it was killed, is running still, or its last lines are gone. */
  readonly ended: boolean;
  /** Which line the anchor names; undefined without an anchor. */
  readonly anchored: number | undefined;
  /**
   * Lines that hang together up to the one that is anchored, and is there: no others are proved to be the broker's, and
   * whoever has the files can add or cut off the others. Undefined if there are none.
   */
  readonly covered: { readonly first: number; readonly last: number } | undefined;
}

export interface AuditReport {
  /** No fault was found. */
  readonly ok: boolean;
  /** And anchors vouch for all of it, but for what replicas that run wrote since their last anchor. */
  readonly verified: boolean;
  readonly chains: readonly ChainReport[];
  readonly faults: readonly AuditFault[];
  /** Lines that are no audit: other logs in the same files. */
  readonly others: number;
}

export interface VerifyOptions {
  /** Undefined: nobody could ask for them. */
  readonly anchors: readonly Anchor[] | undefined;
  /** The files are only a part of what was written: what is before, after and beside them is no fault. */
  readonly partial: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

interface Line {
  readonly sealed: Sealed;
  readonly place: string;
}

/** A replica anchors once a minute what it wrote: after this time, lines that no anchor covers are suspect. */
const anchoringTime = 3 * 60_000;

/** Reads the files (also .gz), in whatever order the lines are in. Throws what reading throws. */
export async function verifyAudit(
  files: readonly string[],
  { anchors, partial, now }: VerifyOptions,
): Promise<AuditReport> {
  const faults: AuditFault[] = [];
  const chains = new Map<string, Map<number, Line>>();
  const halves: { readonly text: string; readonly place: string }[] = [];
  let others = 0;

  for (const file of files) {
    let number = 0;
    for await (const raw of linesOf(file)) {
      number += 1;
      const place = `${file}:${number}`;
      const text = withoutPrefix(raw);
      const sealed = text.length > maxLine ? undefined : unseal(text);
      if (sealed === undefined) {
        if (looksLikeOurs(text)) halves.push({ text: text.slice(0, maxLine), place });
        else if (text.trim() !== '') others += 1;
        continue;
      }
      const chain = chains.get(sealed.chain) ?? new Map<number, Line>();
      chains.set(sealed.chain, chain);
      const earlier = chain.get(sealed.seq);
      if (!sealed.intact) {
        faults.push(fault('edited', sealed.chain, place, `line ${sealed.seq} is not what the broker wrote`));
      }
      // Collectors deliver a line twice now and then.
      if (earlier !== undefined && earlier.sealed.hash !== sealed.hash) {
        const message = `line ${sealed.seq} says something else than at ${earlier.place}`;
        faults.push(fault('contradiction', sealed.chain, place, message));
      } else if (earlier === undefined) chain.set(sealed.seq, { sealed, place });
    }
  }

  for (const { text, place } of halves) if (!isWholeElsewhere(text, chains)) faults.push(damaged(place));
  const reports = Array.from(chains, ([chain, lines]) => checkChain(chain, lines, anchors, partial, faults));
  if (!partial) {
    for (const anchor of anchors ?? []) {
      if (chains.has(anchor.chain)) continue;
      const message = `${anchor.seq} lines up to ${anchor.time} are in none of the files`;
      faults.push(fault('missing', anchor.chain, undefined, message));
    }
  }
  const ok = faults.length === 0;
  const vouched = reports.every((report) => isVouchedFor(report, anchors, now));
  return { ok, verified: ok && reports.length > 0 && vouched, chains: reports, faults, others };
}

function isVouchedFor({ chain, covered, first, last }: ChainReport, anchors: VerifyOptions['anchors'], now: number) {
  const anchor = anchors?.find((one) => one.chain === chain);
  if (anchor === undefined || covered === undefined || covered.first > first) return false;
  // NaN, of a time that is none, is in no span.
  return covered.last === last || Math.abs(now - Date.parse(anchor.time)) < anchoringTime;
}

function checkChain(
  chain: string,
  lines: ReadonlyMap<number, Line>,
  anchors: readonly Anchor[] | undefined,
  partial: boolean,
  faults: AuditFault[],
): ChainReport {
  const sorted = [...lines.values()].toSorted((a, b) => a.sealed.seq - b.sealed.seq);
  const first = sorted[0]!.sealed;
  const last = sorted.at(-1)!.sealed;
  if (!partial && first.seq > 1) {
    faults.push(fault('cut', chain, sorted[0]!.place, `begins with line ${first.seq}: those before it are gone`));
  }
  if (first.seq === 1 && !isStart({ seq: 0, hash: first.previous })) {
    faults.push(fault('edited', chain, sorted[0]!.place, 'line 1 follows on something, which a first line does not'));
  }
  for (const [index, { sealed, place }] of sorted.entries()) {
    const before = sorted[index - 1]?.sealed;
    if (before === undefined) continue;
    if (sealed.seq !== before.seq + 1) {
      const missing = sealed.seq - before.seq - 1;
      const which = missing === 1 ? `line ${before.seq + 1} is` : `lines ${before.seq + 1} to ${sealed.seq - 1} are`;
      faults.push(fault('gap', chain, place, `${which} missing`));
    } else if (sealed.previous !== before.hash) {
      faults.push(fault('edited', chain, place, `line ${sealed.seq} does not follow on line ${before.seq}`));
    }
  }
  const stop = sorted.findIndex(({ sealed }) => sealed.event === 'stopped');
  const after = stop === -1 ? undefined : sorted[stop + 1];
  if (after !== undefined) {
    faults.push(fault('edited', chain, after.place, `line ${after.sealed.seq} comes after the replica had stopped`));
  }
  const anchor = anchors?.find((one) => one.chain === chain);
  if (anchor !== undefined) checkAnchor(chain, lines, anchor, last, partial, faults);
  return {
    chain,
    first: first.seq,
    last: last.seq,
    from: clean(first.time, 40),
    to: clean(last.time, 40),
    lines: sorted.length,
    ended: last.event === 'stopped',
    anchored: anchor?.seq,
    covered: anchor && coverageOf(anchor, lines),
  };
}

/** From the anchored line back, as long as each names the one before it. */
function coverageOf(anchor: Anchor, lines: ReadonlyMap<number, Line>): ChainReport['covered'] {
  let seq = anchor.seq;
  let wanted = anchor.hash;
  for (;;) {
    const line = lines.get(seq)?.sealed;
    if (line === undefined || !line.intact || line.hash !== wanted) break;
    wanted = line.previous;
    seq -= 1;
  }
  return seq === anchor.seq ? undefined : { first: seq + 1, last: anchor.seq };
}

function checkAnchor(
  chain: string,
  lines: ReadonlyMap<number, Line>,
  anchor: Anchor,
  last: Sealed,
  partial: boolean,
  faults: AuditFault[],
): void {
  const line = lines.get(anchor.seq);
  if (line !== undefined && line.sealed.hash !== anchor.hash) {
    const message = `line ${anchor.seq} is not the one that was anchored at ${anchor.time}: the chain was written anew`;
    faults.push(fault('rewritten', chain, line.place, message));
  } else if (line === undefined && last.seq < anchor.seq && !partial) {
    const message = `ends with line ${last.seq}, but ${anchor.seq} were written by ${anchor.time}`;
    faults.push(fault('cut', chain, undefined, message));
  }
}

async function* linesOf(file: string): AsyncGenerator<string> {
  const source = await openSource(file, { maxLine });
  try {
    for await (const { texts } of source.read()) yield* texts;
  } finally {
    await source.close();
  }
}

/** A full disk took half a line, which then went to another file as a whole. */
function isWholeElsewhere(half: string, chains: ReadonlyMap<string, ReadonlyMap<number, Line>>): boolean {
  const [, chain = '', seq = ''] = /^\{"time":"[^"]*","chain":"([^"]*)","seq":(\d+),/.exec(half) ?? [];
  return chains.get(chain)?.get(Number(seq))?.sealed.intact ?? false;
}

function damaged(place: string): AuditFault {
  return fault('damaged', undefined, place, 'half a line of an audit');
}

function fault(
  kind: AuditFault['kind'],
  chain: string | undefined,
  place: string | undefined,
  message: string,
): AuditFault {
  return { kind, chain: chain === undefined ? undefined : clean(chain, 80), place, message };
}
