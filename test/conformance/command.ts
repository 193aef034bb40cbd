/** @file The command `conformance FOLDER… [--check NAME] [--precision NAME] [--json]`. */

import { parseArgs } from 'node:util';
import { OnnxLoraError, type PrecisionName } from '@onnx-lora/sdk';
import { precisionNames } from '@onnx-lora/sdk/core';
import { type CheckName, checkNames, type CheckReport, conformance } from '@onnx-lora/sdk/testing';

const usage = `Usage: npm run conformance -- FOLDER… [--check NAME]… [--precision NAME] [--json]

Holds cases against the SDK: each folder holds a model, an adapter and PEFT's numbers (a case.json), or is a folder of
such. Prints one line per case and check; exits with 1 if any fails.

  --check NAME  only this check; may be repeated: ${checkNames.join(', ')}
  --precision NAME  gradients alone, with frozen products in this precision: ${precisionNames.join(', ')}
  --json        one JSON document instead of lines`;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/**
 * The command, from its arguments to its exit code: 0 when nothing fails, 1 when something does, 2 for arguments that it
 * cannot use.
 */
export async function conformanceCommand(args: readonly string[], print: (line: string) => void): Promise<number> {
  try {
    return await run(args, print);
  } catch (error) {
    const isUsers = error instanceof OnnxLoraError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
    if (!isUsers) throw error;
    print((error as Error).message);
    return EXIT_USAGE;
  }
}

async function run(args: readonly string[], print: (line: string) => void): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      check: { type: 'string', multiple: true },
      json: { type: 'boolean' },
      precision: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help || positionals.length === 0) {
    print(usage);
    return values.help ? 0 : EXIT_USAGE;
  }
  const report = await conformance(positionals, {
    checks: (values.check ?? []) as CheckName[],
    ...(values.precision === undefined ? {} : { precision: values.precision as PrecisionName }),
    onCheck: (found) => {
      if (!values.json) print(line(found));
    },
  });
  const { passed, failed, skipped } = report;
  if (values.json) print(JSON.stringify(report, undefined, 2));
  else print(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return failed > 0 ? EXIT_FAILED : 0;
}

function line({ case: name, check, status, detail }: CheckReport): string {
  return `${name} ${check} ${status}${detail ? `  ${detail}` : ''}`;
}
