/** Where the standalone executable says which folder it is in, before it loads a program (cli/packaging/standalone/main.ts). */
export const standaloneMark = Symbol.for('kleis.standalone');

/** That folder; undefined where Node runs the package. */
export const standaloneFolder = (): string | undefined => (globalThis as { [standaloneMark]?: string })[standaloneMark];
