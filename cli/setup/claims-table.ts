import type { Claims, JsonValue } from '../../shared/jwt.ts';
import { clean } from '../../shared/text.ts';

/** Claims about the token, not about the person. */
const technical = new Set(
  'iss aud exp iat nbf jti nonce at_hash c_hash s_hash azp auth_time sid typ acr amr rat ver aio rh uti session_state'.split(
    ' ',
  ),
);

/** The claims of a person, for a person: `sub` first, each on a line. */
export function describeClaims(claims: Claims, most = 40): (readonly [string, string])[] {
  const names = Object.keys(claims).filter((name) => !technical.has(name));
  const sorted = names.toSorted((one, other) => Number(other === 'sub') - Number(one === 'sub'));
  const rows = sorted.slice(0, most).map((name) => [clean(name, 80), clean(textOf(claims[name]), 400)] as const);
  return sorted.length > most ? [...rows, ['…', `and ${sorted.length - most} more`]] : rows;
}

function textOf(value: JsonValue | undefined): string {
  if (typeof value === 'string') return value;
  const isFlat = Array.isArray(value) && value.every((each) => typeof each === 'string');
  return isFlat ? value.slice(0, 50).join(', ') : JSON.stringify(value).slice(0, 2000);
}
