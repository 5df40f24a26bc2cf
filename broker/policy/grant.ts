import type { Access } from './access.ts';

/** A claim's value as configuration can state it; compared by type and value, never converted. */
export type ClaimValue = string | number | boolean;

/** What a grant demands of one claim; see docs/grants.md. Operators in one mapping must all hold. */
export type MatcherInput =
  | ClaimValue
  | {
      readonly anyOf?: readonly MatcherInput[];
      readonly not?: MatcherInput;
      readonly exists?: boolean;
      readonly glob?: string;
      readonly contains?: MatcherInput;
    }
  | { readonly [claim: string]: MatcherInput };

export type Where = Readonly<Record<string, MatcherInput>>;

/** Whose token a grant mints, with the namespace filled in. */
export type GrantAccount =
  | { readonly kind: 'identity'; readonly namespace: string; readonly name: string }
  | { readonly kind: 'elsewhere'; readonly namespace: string; readonly name: string }
  | { readonly kind: 'ephemeral'; readonly namespace: string };

/** One grant, complete: durations in milliseconds, its account with the namespace filled in. */
export interface Grant {
  readonly name: string;
  readonly issuer: string;
  readonly where: Where;
  /** CEL over `claims`. */
  readonly condition?: string;
  readonly cluster: string;
  /** As configured; absent when ephemeral. `account` says the same with the namespace filled in. */
  readonly serviceAccount?: string | { readonly namespace: string; readonly name: string };
  readonly account: GrantAccount;
  readonly ephemeral?: true;
  readonly access?: readonly Access[];
  /** Milliseconds. */
  readonly ttl: { readonly default: number; readonly max: number };
  /** Whether one token can be taken back by itself: it has a lease and something of its own to be bound to. */
  readonly revocable: boolean;
  readonly killSwitch?: string;
  readonly explain: boolean;
}
