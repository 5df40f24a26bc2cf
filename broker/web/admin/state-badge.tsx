import type { ShownState } from '../../leases/overview-page.ts';
import { Badge, type Tone } from '../view/components.tsx';
import { adminTexts } from './texts.ts';

const tones: Readonly<Record<ShownState, Tone>> = {
  live: 'good',
  ended: 'plain',
  revoking: 'warn',
  revoked: 'bad',
  withdrawing: 'warn',
  withdrawn: 'plain',
  free: 'plain',
};

export function StateBadge({ state }: { readonly state: ShownState }) {
  return <Badge tone={tones[state]}>{adminTexts.leases.states[state]}</Badge>;
}
