/** @file The command `wild [ID]… [--cache FOLDER] [--page FILE]`. */

import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { checkWildModel, type WildReport } from './checks.ts';
import { fetchModel } from './fetch.ts';
import { checksOf, packages, wildChecks, type WildModel } from './models.ts';
import { outcomeOf, type WildResult, writePage } from './page.ts';

const usage = `Usage: npm run wild -- [ID]… [--cache FOLDER] [--page FILE] [--minutes N]

Runs the checks on real models of packages of npm and PyPI, each in a process of its own: ${wildChecks.join(', ')}.
Prints a line per file; exits with 1 if a check fails that is not known to, or passes that is known to fail.

  ID             only these files of test/wild/models.ts
  --cache FOLDER where packages, files and results are kept; node_modules/.cache/onnx-lora-wild by default
  --page FILE    writes the table of all results that are kept, such as docs/reference/real-models.md; runs nothing
                 unless files are named
  --minutes N    how long a file may take; 15 by default`;

/** The argument that makes the program check one file and print its report. */
const CHILD = '--child';
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const GIGABYTE_HEAP = '--max-old-space-size=4096';

/** The command, from its arguments to its exit code: 1 when something is not as the table has it, 2 for wrong arguments. */
export async function wildCommand(
  args: readonly string[],
  program: string,
  print: (line: string) => void,
): Promise<number> {
  if (args[0] === CHILD) {
    print(JSON.stringify(await checkWildModel(find(args[1]!).model, args[2]!)));
    return 0;
  }
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      cache: { type: 'string', default: 'node_modules/.cache/onnx-lora-wild' },
      page: { type: 'string' },
      minutes: { type: 'string', default: '15' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    print(usage);
    return 0;
  }
  const cache = path.resolve(values.cache);
  const every = packages.flatMap(({ models }) => models.map(({ id }) => id));
  const unknown = positionals.filter((id) => !every.includes(id));
  if (unknown.length > 0) {
    print(`There is no ${unknown.join(', ')}. The files are ${every.join(', ')}.`);
    return EXIT_USAGE;
  }
  const chosen = positionals.length > 0 || values.page !== undefined ? positionals : every;
  let surprises = 0;
  for (const id of chosen) {
    const result = await resultOf(find(id), { cache, program, minutes: Number(values.minutes) });
    mkdirSync(path.join(cache, 'results'), { recursive: true });
    writeFileSync(resultFile(cache, result.model), JSON.stringify(result.report));
    const surprising = surprisesOf(result);
    surprises += surprising.length;
    const sites = Object.entries(result.report.sites).map(([kind, count]) => `${count} ${kind}`);
    const { detects } = result.report;
    print(`${id}  ${sites.join(', ')}  ${result.report.seconds.toFixed(0)} s  ${outcomesOf(result)}`);
    if (detects) print(`  detects: loss ${detects.loss.map((each) => each.toFixed(2)).join(' to ')}, mAP50 ${detects.map50.map((each) => each.toFixed(2)).join(' to ')}`); // prettier-ignore
    for (const line of surprising) print(`  ${line}`);
  }
  if (values.page !== undefined)
    writePage(
      values.page,
      every.flatMap((id) => keptResult(find(id), cache) ?? []),
    );
  if (chosen.length > 0)
    print(`${chosen.length} files, ${surprises === 0 ? 'all as the table has it' : `${surprises} surprises`}`);
  return surprises > 0 ? EXIT_FAILED : 0;
}

type Found = Pick<WildResult, 'from' | 'model'>;

function find(id: string): Found {
  for (const from of packages) for (const model of from.models) if (model.id === id) return { from, model };
  throw new OnnxLoraError('CONFIG_INVALID', `The table has no "${id}". Choose one of test/wild/models.ts.`);
}

/** In a process of its own, so that what ends it or takes all memory ends one file's checks. */
async function resultOf(
  { from, model }: Found,
  { cache, program, minutes }: { cache: string; program: string; minutes: number },
): Promise<WildResult> {
  const file = await fetchModel(from, model, cache);
  const args = [GIGABYTE_HEAP, '--enable-source-maps', program, CHILD, model.id, file];
  const report = await promisify(execFile)(process.execPath, args, {
    timeout: minutes * 60_000,
    maxBuffer: 1 << 24,
  }).then(
    ({ stdout }) => JSON.parse(stdout.trim().split('\n').at(-1)!) as WildReport,
    (error: Error & { killed?: boolean; stderr?: string }): WildReport => ({
      problems: {
        opens: error.killed ? `took more than ${minutes} minutes` : (error.stderr ?? error.message).slice(-400),
      },
      sites: {},
      opset: 0,
      seconds: 0,
    }),
  );
  return { from, model, megabytes: statSync(file).size / 1e6, report };
}

function resultFile(cache: string, { sha256 }: WildModel): string {
  return path.join(cache, 'results', `${sha256}.json`);
}

function keptResult({ from, model }: Found, cache: string): WildResult | undefined {
  const [kept, file] = [resultFile(cache, model), path.join(cache, 'models', `${model.sha256}.onnx`)];
  if (!existsSync(kept) || !existsSync(file)) return undefined;
  const report = JSON.parse(readFileSync(kept, 'utf8')) as WildReport;
  return { from, model, megabytes: statSync(file).size / 1e6, report };
}

function outcomesOf(result: WildResult): string {
  return checksOf(result.model)
    .map((check) => `${check} ${outcomeOf(result, check)}`)
    .join(', ');
}

/** Outcomes that differ from the table. */
function surprisesOf(result: WildResult): string[] {
  return checksOf(result.model).flatMap((check) => {
    const outcome = outcomeOf(result, check);
    const known = result.model.fails?.[check];
    if (outcome === 'fails' && known === undefined)
      return [`${check}: ${result.report.problems[check] ?? 'was not run'}`];
    return outcome === 'passes' && known !== undefined
      ? [`${check} passes, and the table says that it fails: ${known}`]
      : [];
  });
}
