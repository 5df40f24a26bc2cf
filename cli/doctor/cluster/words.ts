import { shellWord } from '../../../shared/shell.ts';
import type { Binding } from '../../../shared/rbac/kinds.ts';

/** What commands and examples say of the cluster. */
export interface Words {
  readonly host: string;
  /** `kubectl --context NAME`, fit to be copied. */
  readonly kubectl: string;
  /** The name of the cluster in a grant: that of the context, where it is one. */
  readonly cluster: string;
  /** Of the context. */
  readonly namespace: string;
  readonly platform: NodeJS.Platform;
}

/** The command that takes a binding away, or one of its subjects where it has several. */
export function removal({ kind, namespace, name, subjects }: Binding, { kubectl, platform }: Words): string {
  const verb = subjects.length > 1 ? 'edit' : 'delete';
  const place = namespace === undefined ? '' : ` -n ${shellWord(namespace, platform)}`;
  return `${kubectl}${place} ${verb} ${kind.toLowerCase()} ${shellWord(name, platform)}`;
}

/** What a server said, which may or may not end as a sentence does. */
export function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
