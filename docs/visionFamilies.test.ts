/** @file The page of the vision families is what the families say. `npx vitest run docs/visionFamilies.test.ts -u` writes it. */

import { fileURLToPath } from 'node:url';
import type { ModuleName } from '@onnx-lora/sdk';
import { type VisionFamily, visionFamilies } from '@onnx-lora/vision';
import { format, resolveConfig } from 'prettier';
import { expect, test } from 'vitest';

const page = fileURLToPath(new URL('guides/vision-families.md', import.meta.url));

test('the page is up to date', async () => {
  const markdown = await format(text(), { ...(await resolveConfig(page)), parser: 'markdown' });
  await expect(markdown).toMatchFileSnapshot(page);
});

function text(): string {
  return `# Vision families

A family knows what the modules of a model are called and which of them are worth adapting. With it, \`openModel\` and the command line need no targets, adapters of transformers 4 and 5 fit graphs of either, and the usual task is known.

\`config.json\` decides where it names a \`model_type\`. Without it a family is recognised by the paths of modules in the graph: \`{n}\` is a number, \`^\` the beginning of a path. A model that no family knows, such as a ViT of your own, is adapted with \`targetModules: 'all-linear'\` or names of your choice.

This page is made from the families themselves.

| family | \`model_type\` | image processor | usual task |
| --- | --- | --- | --- |
${visionFamilies.map((family) => `| [${family.title}](#${anchorOf(family)}) | ${codes(family.modelTypes)} | ${codes(family.imageProcessors)} | ${codes(family.tasks.slice(0, 1))} |`).join('\n')}

${visionFamilies.map(sectionOf).join('\n\n')}
`;
}

function sectionOf(family: VisionFamily): string {
  const { name, title, paper, marks, targetsFrom, tasks, imageProcessors } = family;
  return `## ${title}

${paper}.

- name: \`${name}\`
- recognised without \`config.json\` by ${marks.map(markOf).join('; or ')}
- adapted by default:
${targetsOf(family)}
- why: ${targetsFrom}
- tasks: ${codes(tasks) === '–' ? 'one of your own' : codes(tasks)}
- image processor: ${codes(imageProcessors)}`;
}

/** The heading's anchor, as GitHub and VitePress spell it. */
function anchorOf({ title }: VisionFamily): string {
  return title.toLowerCase().replaceAll(/[()]/g, '').replaceAll(' ', '-');
}

function markOf(mark: readonly string[]): string {
  const wanted = mark.filter((each) => !each.startsWith('!'));
  const never = mark.filter((each) => each.startsWith('!')).map((each) => each.slice(1));
  return codes(wanted, ' and ') + (never.length > 0 ? ` without ${codes(never, ' or ')}` : '');
}

function targetsOf({ defaultTargets, names }: VisionFamily): string {
  return defaultTargets
    .filter((role) => role in names)
    .map((role) => `  - ${role}: ${names[role]!.map(spelling).join(', ')}`)
    .join('\n');
}

function spelling(name: ModuleName): string {
  if (name instanceof RegExp) return `\`${name.source}\``;
  if (typeof name === 'string') return `\`${name}\``;
  const both = ([4, 5] as const).filter((generation) => name[generation] !== undefined);
  return both.map((generation) => `\`${name[generation]}\` (transformers ${generation})`).join(' = ');
}

function codes(names: readonly string[], separator = ', '): string {
  return names.map((name) => `\`${name}\``).join(separator) || '–';
}
