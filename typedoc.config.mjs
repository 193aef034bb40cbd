/**
 * @file The API reference: one page per exported thing, in docs/reference/api. An undocumented export is an error, and so is
 * an undocumented member of one.
 */

import { Comment, Converter, OptionDefaults, ReflectionKind } from 'typedoc';

/** @type {Partial<import('typedoc').TypeDocOptions & import('typedoc-plugin-markdown').PluginOptions>} */
export default {
  name: 'API',
  plugin: ['typedoc-plugin-markdown', saidElsewhere],
  entryPointStrategy: 'packages',
  entryPoints: [
    'packages/sdk',
    'packages/vision',
    'packages/speech',
    'packages/sequences',
    'packages/science',
    'packages/text',
    'packages/diffusion',
    'packages/build',
    'packages/methods',
    'packages/testing',
    'packages/openvino',
    'packages/cluster',
    'packages/serve',
    'packages/cli',
    'packages/create-onnx-lora-plugin',
  ],
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
    requiredToBeDocumented: [
      'Class',
      'Interface',
      'TypeAlias',
      'Function',
      'Variable',
      'Enum',
      'EnumMember',
      'Constructor',
      'Method',
      'Accessor',
      'Property',
    ],
  },
  readme: 'none',
  out: 'docs/reference/api',
  entryFileName: 'index',
  hidePageHeader: true,
  treatWarningsAsErrors: true,
  treatValidationWarningsAsErrors: true,
};

/**
 * Names that need no docstring: a member that has one value, such as `type: 'step'`, says it; and what has the members of
 * an object type without a name says what they are, as `scale: { x: number; y: number }`.
 *
 * @param {import('typedoc').Application} app
 */
function saidElsewhere(app) {
  app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
    const isAsked = (property) =>
      !property.hasComment() && project.getSymbolIdFromReflection(property)?.packageName === project.packageName;
    const bare = project.getReflectionsByKind(ReflectionKind.Property).filter(isAsked);
    for (const property of bare) {
      if (hasOneValue(property))
        property.comment = new Comment([{ kind: 'text', text: `Always \`${property.type}\`.` }]);
    }
    const unnamed = bare.filter((property) => !hasOneValue(property) && isOfUnnamedType(property));
    const names = unnamed.map((property) => property.getFriendlyFullName());
    app.options.setValue('intentionallyNotDocumented', [...new Set(names)]);
  });
}

function hasOneValue({ type }) {
  return type?.type === 'literal' && type.value !== null;
}

/** Typedoc asks for no comments on members of parameters' types. */
function isOfUnnamedType({ parent }) {
  if (!parent?.kindOf(ReflectionKind.TypeLiteral)) return false;
  for (let each = parent; each; each = each.parent) if (each.kindOf(ReflectionKind.Parameter)) return false;
  return true;
}
