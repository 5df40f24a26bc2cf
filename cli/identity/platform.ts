import type { Deps } from '../surroundings/deps.ts';
import type { Fetch } from '../../shared/net/http.ts';
import type { SubjectToken } from './subject-token.ts';

export type Env = Deps['env'];

/** What a platform's function may use. */
export interface Surroundings extends Pick<Deps, 'env' | 'platform' | 'signal'> {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly fetch: Fetch;
}

/** A place that gives whatever runs in it a signed identity. */
export interface Platform {
  /** As `--identity` spells it. */
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** Whether this process runs there, by what the platform says in each job. */
  readonly isHere: (env: Env) => boolean;
  /** The variables that tell this job from every other one; all of them are part of the launcher's key. */
  readonly job: readonly string[];
  /** True: it makes a token for the audience asked for. False: the token is there already, for whatever audience. */
  readonly asks: boolean;
  /** Where tokens of this platform come from, as far as the surroundings tell. */
  readonly issuer: (env: Env) => string | undefined;
  /** How somebody gets a token for another audience, where `asks` is false. */
  readonly hint: (audience: string) => string;
  /**
   * @param audience undefined only where `asks` is false
   * @throws KleisError `identity_missing`, `provider_unavailable`, `provider_invalid`, `subject_malformed`, `subject_expired`
   */
  readonly getToken: (audience: string | undefined, surroundings: Surroundings) => Promise<SubjectToken>;
}
