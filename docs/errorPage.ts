/** @file The page of the error codes, made from the SDK's table and from examples that are run. */

import type { ErrorCode } from '@onnx-lora/sdk';
import { errorCodes } from '@onnx-lora/sdk/core';
import { type ErrorExample, errorExamples } from './errorExamples.ts';
import { withIncludedCode } from './fences/included.ts';

const codes = Object.keys(errorCodes) as ErrorCode[];

/**
 * The page in Markdown, as it is in `page`, from the root of the repository.
 *
 * @param output what the example of a code prints
 */
export async function errorPage(page: string, output: Readonly<Record<ErrorCode, string>>): Promise<string> {
  return withIncludedCode(page, text(output));
}

function text(output: Readonly<Record<ErrorCode, string>>): string {
  return `---
title: Error codes
order: 30
---

# Error codes

Every mistake of a caller ends in an \`OnnxLoraError\`. Its message says what failed, where, what was expected and found, and what to do. Its \`code\` is one of those below, \`cause\` the underlying error, if any, and \`docs\` the section of this page. Programs should check the code; messages may change.

On the command line they exit with 2, and \`onnx-lora explain CODE\` prints its section. Any other error is a bug, and exits with 1.

This page is made from the SDK's own table, and its examples are run by the tests.

| | code | what it means |
| --- | --- | --- |
${codes.map((code) => `| [${title(code)}](#${code.toLowerCase().replaceAll('_', '-')}) | \`${code}\` | ${errorCodes[code].summary} |`).join('\n')}

${codes.map((code) => section(code, output[code])).join('\n')}`;
}

function section(code: ErrorCode, output: string): string {
  const { summary, causes, remedies } = errorCodes[code];
  const example = errorExamples[code];
  return `## ${title(code)}

\`${code}\`: ${summary}

Causes

${points(causes)}

Remedies

${points(remedies)}

${example.about ?? 'An example:'}

${call(example)}

\`\`\`text
${output}
\`\`\`
`;
}

function call(example: ErrorExample): string {
  if ('command' in example) return `\`\`\`sh\n${example.command}\n\`\`\``;
  return `\`\`\`ts file=../errors/${example.program}\n\`\`\``;
}

/** Words rather than the code, so that GitHub and the site give the heading the same anchor. */
function title(code: ErrorCode): string {
  return `${code[0]}${code.slice(1).toLowerCase().replaceAll('_', ' ')}`;
}

function points(texts: readonly string[]): string {
  return texts.map((each) => `- ${each}`).join('\n');
}
