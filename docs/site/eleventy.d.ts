// What is used of it: the package has no types of its own.
declare module '@11ty/eleventy' {
  export interface Configuration {
    setIncludesDirectory(folder: string): void;
    setTemplateFormats(formats: string[]): void;
    addPreprocessor(name: string, formats: string, use: (data: never) => false | undefined): void;
    addGlobalData(name: string, value: unknown): void;
    amendLibrary(name: 'md', amend: (library: never) => void): void;
    addNunjucksGlobal(name: string, value: (argument: never) => unknown): void;
  }
  export class Eleventy {
    constructor(
      input: string,
      output: string,
      options: { quietMode?: boolean; configPath?: string; config?: (config: Configuration) => void },
    );
    disableLogger(): void;
    write(): Promise<unknown>;
  }
}
