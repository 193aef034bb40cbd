/** @file The API reference: one page per exported thing, in docs/reference/api. An undocumented export is an error. */

import { OptionDefaults } from 'typedoc';

/** @type {Partial<import('typedoc').TypeDocOptions & import('typedoc-plugin-markdown').PluginOptions>} */
export default {
  name: 'Reference',
  plugin: ['typedoc-plugin-markdown'],
  entryPointStrategy: 'packages',
  entryPoints: ['packages/sdk', 'packages/vision', 'packages/speech', 'packages/science'],
  packageOptions: {
    entryPoints: ['src/index.ts'],
    readme: 'none',
    disableSources: true,
    excludeInternal: true,
    excludePrivate: true,
    excludeExternals: true,
    // The sentence after `@file` at the head of index.ts becomes the package's summary.
    modifierTags: [...OptionDefaults.modifierTags, '@file'],
    excludeTags: [...OptionDefaults.excludeTags, '@file'],
    validation: { notExported: true, invalidLink: true, notDocumented: true },
    requiredToBeDocumented: ['Class', 'Interface', 'TypeAlias', 'Function', 'Variable', 'Enum'],
  },
  readme: 'none',
  out: 'docs/reference/api',
  entryFileName: 'index',
  hidePageHeader: true,
  treatWarningsAsErrors: true,
  treatValidationWarningsAsErrors: true,
};
