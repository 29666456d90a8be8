/**
 * Micro benchmark of the MIME reader: `npx node bench/mime.ts`. Prints microseconds per call and megabytes per second of CPU on this machine.
 * Mail is generated, the same in every run.
 */
import { Base64Analyser } from '../core/src/mime/base64-recipe.ts';
import { normaliseCrlf } from '../core/src/mime/crlf.ts';
import { fold } from '../core/src/mime/fold.ts';
import { MessageParser } from '../core/src/mime/message-parser.ts';
import { encodeParts } from '../core/src/mime/part-table.ts';
import { preview } from '../core/src/mime/preview.ts';
import { bodyText, headerText } from '../core/src/mime/search-text.ts';

const TRACE_HEADERS = [
  'Return-Path: <newsletter-bounces@lists.example.org>',
  'Delivered-To: ada@example.test',
  'Received: from mx1.example.org (mx1.example.org [192.0.2.17])\r\n\tby mail.example.test (Postfix) with ESMTPS id 4F2A71C0042\r\n\tfor <ada@example.test>; Tue, 17 Nov 2026 10:22:31 +0100 (CET)',
  'Received: from localhost (localhost [127.0.0.1])\r\n\tby mx1.example.org (Postfix) with ESMTP id 9B3C2200F1\r\n\tfor <ada@example.test>; Tue, 17 Nov 2026 10:22:30 +0100 (CET)',
  `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=2026;\r\n\th=from:to:subject:date:message-id; bh=${'Ab3+'.repeat(11)};\r\n\tb=${'q7Zx'.repeat(43)}`,
];

function textMail(bodyOctets: number): Buffer {
  const line = 'The quick brown fox jumps over the lazy dog, and then it does so once more.\r\n';
  const head = [
    ...TRACE_HEADERS,
    'Date: Tue, 17 Nov 2026 10:22:29 +0100',
    'From: "Grace Hopper" <grace@example.org>',
    'To: Ada Lovelace <ada@example.test>, Charles <charles@example.test>',
    'Cc: team@example.org',
    'Subject: =?utf-8?Q?Caf=C3=A9?= on Tuesday, and what to bring for it',
    'Message-ID: <20261117102229.4F2A71C0042@mx1.example.org>',
    'In-Reply-To: <20261116181502.11AA@example.test>',
    'References: <20261115090000.77BB@example.org> <20261116181502.11AA@example.test>',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 7bit',
  ].join('\r\n');
  return Buffer.from(`${head}\r\n\r\n${line.repeat(Math.ceil(bodyOctets / line.length))}`);
}

function attachmentMail(octets: number): Buffer {
  const bytes = Buffer.alloc(octets);
  for (let at = 0, seed = 1; at < octets; at++) bytes[at] = (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 16;
  const base64 = bytes.toString('base64').replaceAll(/.{76}/g, '$&\r\n');
  return Buffer.from(
    `From: grace@example.org\r\nTo: ada@example.test\r\nSubject: numbers\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="=-frontier"\r\n\r\n` +
      `--=-frontier\r\nContent-Type: text/plain\r\n\r\nSee attachment.\r\n--=-frontier\r\nContent-Type: application/octet-stream; name="numbers.bin"\r\n` +
      `Content-Disposition: attachment; filename="numbers.bin"\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64}\r\n--=-frontier--\r\n`,
  );
}

function measure(name: string, octets: number, work: () => void): void {
  for (let until = performance.now() + 200; performance.now() < until; ) work();
  let rounds = 0;
  const start = process.cpuUsage();
  for (const until = performance.now() + 500; performance.now() < until; rounds++) work();
  const { user, system } = process.cpuUsage(start);
  const us = (user + system) / rounds;
  console.log(`${name.padEnd(44)} ${us.toFixed(1).padStart(10)} us  ${(octets / us).toFixed(0).padStart(6)} MB/s`);
}

function parse(message: Uint8Array, chunkOctets = message.length) {
  const parser = new MessageParser();
  for (let at = 0; at < message.length; at += chunkOctets) parser.push(message.subarray(at, at + chunkOctets));
  return parser.finish();
}

const text = textMail(7_200);
const big = attachmentMail(3_800_000);
const bigParts = parse(big).parts;
const attachment = bigParts.children[1];

measure(`parse, ${text.length} octet text mail`, text.length, () => parse(text));
measure('  + part table', text.length, () => encodeParts(parse(text).parts));
const textParts = parse(text).parts;
measure('  search text, folded', text.length, () => fold(headerText(text.subarray(0, textParts.bodyStart)) + bodyText(text, textParts)));
measure('  preview', text.length, () => preview(text, textParts));
measure('  line ends, nothing to do', text.length, () => normaliseCrlf(text));
measure(`parse, ${(big.length / 1e6).toFixed(1)} MB attachment mail, whole`, big.length, () => parse(big));
measure('  in chunks of 64 KiB', big.length, () => parse(big, 65_536));
measure('  line ends, nothing to do', big.length, () => normaliseCrlf(big));
if (attachment !== undefined) {
  const body = big.subarray(attachment.bodyStart, attachment.bodyEnd);
  measure('  decode and find the base64 recipe', body.length, () => {
    const analyser = new Base64Analyser();
    for (let at = 0; at < body.length; at += 65_536) analyser.push(body.subarray(at, at + 65_536));
    if (analyser.finish() === undefined) throw new Error('no recipe for plain base64');
  });
}
