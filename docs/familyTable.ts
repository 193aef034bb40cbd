/** @file The page with the families of all domain packages in one table, made from the families themselves. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { diffusionFamilies } from '@onnx-lora/diffusion';
import { scienceFamilies } from '@onnx-lora/science';
import { speechFamilies } from '@onnx-lora/speech';
import { textFamilies } from '@onnx-lora/text';
import { visionFamilies } from '@onnx-lora/vision';
import { codes } from './familyPage.ts';
import { slugify } from './.vitepress/slugify.ts';

const families: readonly DescribedFamily[] = [
  ...new Set([...visionFamilies, ...diffusionFamilies, ...speechFamilies, ...scienceFamilies, ...textFamilies]),
];

/** The page in Markdown. */
export function familyTable(): string {
  return `---
title: Model families
aside: false
order: 50
---

# Model families

All ${families.length} families of \`@onnx-lora/vision\`, \`@onnx-lora/diffusion\`, \`@onnx-lora/speech\`, \`@onnx-lora/science\` and \`@onnx-lora/text\`. Other models can be trained too: name the modules (\`targetModules\`) and [a task](../concepts/plugin.md). [A plugin](../guides/plugin.md) may bring families.

- _adapted by default_: roles of modules; the family's own page has the module names and the reason.
- _both names_: whether transformers 4 and 5 call its modules differently, so that a table [translates adapters](../concepts/match.md#names-have-generations) between the two.
- _files_: what it is [published as](../concepts/compose.md), if more than one file; a file in brackets may be absent.

This page is made from the families themselves.

| family | name | domain | adapted by default | tasks | both names | files |
| --- | --- | --- | --- | --- | --- | --- |
${families.map(row).join('\n')}
`;
}

function row(family: DescribedFamily): string {
  const { title, name, domain, names, defaultTargets, tasks, generations = [], files } = family;
  const cells = [
    `[${title}](../guides/${domain}-families.md#${slugify(title)})`,
    `\`${name}\``,
    domain,
    codes(defaultTargets.filter((role) => role in names)),
    codes(tasks),
    generations.some(({ pairs }) => pairs.length > 0) ? 'yes' : '–',
    files ? files.parts.map((part) => (part.onlyServes ? `(\`${part.name}\`)` : `\`${part.name}\``)).join(', ') : '–',
  ];
  return `| ${cells.join(' | ')} |`;
}
