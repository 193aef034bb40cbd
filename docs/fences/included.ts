/** @file Puts the code of files into a page, into the fences that name one: ` ```ts file=../examples/serve.ts#region `. */

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { root } from './fences.ts';

/**
 * A page with the code as the files have it today, formatted.
 *
 * @param page the page's path from the root of the repository; paths of files begin at its folder
 * @throws Error for a file that is not there, and for a region that it does not have
 */
export async function withIncludedCode(page: string, text: string): Promise<string> {
  const filled = text.replaceAll(
    /^(```\w+ file=(\S+?)(?:#(\S+))?\n)(?:[\s\S]*?\n)??```$/gm,
    (_, head: string, file: string, region?: string) =>
      `${head}${codeOf(join(root, dirname(page), file), region)}\n\`\`\``,
  );
  return format(filled, { ...(await resolveConfig(join(root, page))), parser: 'markdown' });
}

function codeOf(file: string, region: string | undefined): string {
  const whole = readFileSync(file, 'utf8');
  if (region === undefined) return shown(whole);
  const code = new RegExp(`^ *// #region ${region}\\n([\\s\\S]*?)^ *// #endregion ${region}$`, 'm').exec(whole)?.[1];
  if (code === undefined) throw new Error(`${file} has no region "${region}" that also ends by that name.`);
  return shown(code);
}

/** Without marks of regions, and without the indent that all lines have. */
function shown(code: string): string {
  const lines = code
    .replaceAll(/^ *\/\/ #(?:end)?region .*\n/gm, '')
    .replace(/^\n+/, '')
    .trimEnd()
    .split('\n');
  const indent = Math.min(...lines.filter((line) => line !== '').map((line) => line.search(/\S/)));
  return lines.map((line) => line.slice(indent)).join('\n');
}
