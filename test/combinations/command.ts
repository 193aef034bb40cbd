/** @file The command `combinations [--count N] [--seed N] [--draw JSON] [--table]`. */

import { parseArgs } from 'node:util';
import { type Draw, outcomeOf } from './laws.ts';
import { search, tableOfPairs } from './search.ts';

const usage = `Usage: npm run combinations -- [--count N] [--seed N] [--table] | --draw JSON

Draws small networks and methods at random, and checks the laws that every adapter keeps: gradients are finite differences,
merged is unmerged, saved is loaded, and others. Prints the smallest draw that breaks one.

  --count N    draws (default 500)
  --seed N     the same number makes the same draws (default 1)
  --table      prints which choices were drawn together, and how often
  --draw JSON  checks one draw, as a failure prints it`;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const DEFAULT_COUNT = 500;

/** The command, from its arguments to its exit code: 0, 1 if a law is broken, 2 for arguments that it cannot use. */
export async function combinationsCommand(args: readonly string[], print: (line: string) => void): Promise<number> {
  const options = { count: { type: 'string' }, seed: { type: 'string' }, draw: { type: 'string' }, table: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const; // prettier-ignore
  let values: { count?: string; seed?: string; draw?: string; table?: boolean; help?: boolean };
  try {
    ({ values } = parseArgs({ args: [...args], options }));
  } catch (error) {
    print((error as Error).message);
    return EXIT_USAGE;
  }
  const [count, seed] = [Number(values.count ?? DEFAULT_COUNT), Number(values.seed ?? 1)];
  if (values.help || !Number.isSafeInteger(count) || count < 1 || !Number.isSafeInteger(seed)) {
    print(usage);
    return values.help ? 0 : EXIT_USAGE;
  }
  if (values.draw !== undefined) {
    const { problems, refused } = await outcomeOf(JSON.parse(values.draw) as Draw);
    for (const problem of problems) print(problem);
    if (refused) print(`refused: ${refused.code}: ${refused.message}`);
    return problems.length > 0 ? EXIT_FAILED : 0;
  }
  const start = performance.now();
  const onDraw = (done: number): void => {
    if (!process.stderr.isTTY) return;
    const left = ((performance.now() - start) / done) * (count - done);
    process.stderr.write(
      `\r${done} of ${count} draws, ${Math.ceil(left / 1000)} s left   ${done === count ? '\n' : ''}`,
    );
  };
  const { count: done, refused, pairs, failure } = await search({ count, seed, onDraw });
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  const codes = [...refused].map(([code, times]) => `${times} ${code}`).join(', ') || 'none';
  print(`${done} draws of seed ${seed} in ${seconds} s; refused: ${codes}`);
  if (values.table) print(tableOfPairs(pairs));
  if (!failure) return 0;
  for (const problem of failure.problems) print(problem);
  print(`Repeat: npm run combinations -- --draw '${JSON.stringify(failure.draw)}'`);
  return EXIT_FAILED;
}
