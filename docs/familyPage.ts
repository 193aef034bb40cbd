/** @file A page that says what the families of a domain package are, made from the families themselves. */

import { asInLora, type DescribedFamily, type ModuleName } from '@onnx-lora/sdk/plugin';
import { slugify } from './.vitepress/slugify.ts';

/** Contents of a page. */
export interface FamilyPage {
  readonly title: string;
  /** Where the site's sidebar has the page. */
  readonly group: string;
  readonly order: number;
  readonly families: readonly DescribedFamily[];
  /** Preprocessor of the model's input: `image processor`. */
  readonly preprocessor: string;
  /** An example of a model that no family knows. */
  readonly stranger: string;
  /** More to say before the table. */
  readonly text?: string;
}

/** The page in Markdown. */
export function familyPage({
  title,
  group,
  order,
  families,
  preprocessor,
  stranger,
  text: more = '',
}: FamilyPage): string {
  const usual = mostCommon(families.map(({ tasks }) => tasks));
  return `---
title: ${title}
order: ${order}
group: ${group}
---

# ${title}

For users who choose a model or its targets: a family knows the names of a model's modules and the usual targets. With it, \`openModel\` and the command line need no targets, adapters of transformers 4 and 5 fit graphs of either, and the usual task is known.

\`config.json\` decides if it has a \`model_type\`. Otherwise a family is recognised by the paths of modules in the graph: \`{n}\` is a number, \`^\` the beginning of a path. The second of two names is that of transformers 5. A model without a family, such as ${stranger}, is adapted with \`targetModules: 'all-linear'\` or names of your choice.

${more}This page is made from the families themselves.

| family | \`model_type\` | ${preprocessor} | usual task |
| --- | --- | --- | --- |
${families.map((family) => `| [${family.title}](#${slugify(family.title)}) | ${codes(family.modelTypes)} | ${codes(family.preprocessors)} | ${codes(family.tasks.slice(0, 1))} |`).join('\n')}

Tasks, where a family names no others: ${codes(usual)}. Default targets without a source: ${asInLora}.

${families.map((family) => sectionOf(family, usual)).join('\n\n')}
`;
}

/** The list that comes most often. */
function mostCommon(lists: readonly (readonly string[])[]): readonly string[] {
  const count = (list: readonly string[]): number => lists.filter((each) => each.join() === list.join()).length;
  return lists.reduce((best, each) => (count(each) > count(best) ? each : best));
}

function sectionOf(family: DescribedFamily, usual: readonly string[]): string {
  const { name, title, paper, signatures, targetsFrom, tasks } = family;
  return `## ${title}

${paper}.

- \`${name}\`, recognised by ${signatures.map(markOf).join('; or ')}
${tasks.join() === usual.join() ? '' : `- tasks: ${tasks.length === 0 ? 'one of your own' : codes(tasks)}\n`}- default targets${targetsFrom === asInLora ? '' : ` (${targetsFrom})`}:
${targetsOf(family)}`;
}

function markOf(mark: readonly string[]): string {
  const wanted = mark.filter((each) => !each.startsWith('!'));
  const never = mark.filter((each) => each.startsWith('!')).map((each) => each.slice(1));
  return codes(wanted, ' and ') + (never.length > 0 ? ` without ${codes(never, ' or ')}` : '');
}

function targetsOf({ defaultTargets, names }: DescribedFamily): string {
  return defaultTargets
    .filter((role) => role in names)
    .map((role) => `  - ${role}: ${names[role]!.map(spelling).join(', ')}`)
    .join('\n');
}

function spelling(name: ModuleName): string {
  if (name instanceof RegExp) return `\`${name.source}\``;
  if (typeof name === 'string') return `\`${name}\``;
  const both = ([4, 5] as const).filter((generation) => name[generation] !== undefined);
  return both.map((generation) => `\`${name[generation]}\``).join(' = ');
}

/** Names as code, or a dash for none. */
export function codes(names: readonly string[], separator = ', '): string {
  return names.map((name) => `\`${name}\``).join(separator) || '–';
}
