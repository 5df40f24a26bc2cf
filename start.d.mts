export declare const wrapper: readonly [string, string];

export declare function start(
  program: string,
  home: string,
  from: {
    readonly wrapper: readonly [string, string];
    readonly read: (file: string) => string;
    readonly readCache: (file: string) => Uint8Array | undefined;
    readonly hasPage: (file: string) => boolean;
  },
): void;
