export const shells = ['bash', 'zsh', 'fish', 'powershell'] as const;
export type Shell = (typeof shells)[number];

/** Who asks for completion. `kubectl` hands what it is told to a shell of its own. */
export const askers = [...shells, 'kubectl'] as const;
export type Asker = (typeof askers)[number];
