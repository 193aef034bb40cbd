/** A bundler's plugin: on a page, a module gives way to its namesake in the folder `browser` beside it. */
export const forPages: {
  readonly name: string;
  readonly enforce: 'pre';
  resolveId(source: string, importer: string | undefined): string | null;
};
