// Answers for Open WebUI when it gave no answer: a page for users who open the chat, JSON for
// programs and for the scripts of a page, which read the field `detail`.
import fs from "fs";
import pages from "pages.js";

// What start-open-webui is doing; after a restart of the machine there is no such file.
const STATUS = "/run/ollamazure/status.txt";

function answer(request) {
    const status = connected(request) ? Number(request.variables.upstream_status) || 502 : 503;
    const texts = pages.textsFor(request);
    request.headersOut["Cache-Control"] = "no-store";
    if (wantsJson(request)) {
        request.headersOut["Content-Type"] = "application/json";
        const detail = status === 503 ? texts.preparing_message : texts.failed_message;
        request.return(status, JSON.stringify({ detail: detail }));
        return;
    }
    request.headersOut["Content-Type"] = "text/html";
    const page = status === 503 ? preparing(request, texts) : pages.page("failed", texts, {});
    request.return(status, page);
}

// Whether Open WebUI accepted the connection, of this request or of the one for its session.
function connected(request) {
    const session = request.variables.session_status;
    return /\d/.test(request.variables.upstream_connect_time || "")
        || !["", "200", "503"].includes(session);
}

function wantsJson(request) {
    const accepted = request.headersIn.Accept || "";
    if (accepted.includes("text/html")) {
        return false;
    }
    const program = /^\/(api|ollama|openai)\//.test(request.uri);
    return accepted.includes("json") || (program && accepted !== "");
}

// The page tries the same address again, except the one to which an identity provider sent the
// user: its code is valid once.
function preparing(request, texts) {
    const again = request.uri.startsWith("/oauth/") ? "5; url=/" : "5";
    const status = translate(readStatus(), texts.status);
    return pages.page("preparing", texts, { again: again, status: status });
}

function readStatus() {
    try {
        return fs.readFileSync(STATUS, "utf8").trim();
    } catch (missing) {
        return "";
    }
}

// The words of the machine's programs in another language, as far as they are known.
function translate(status, known) {
    for (const words in known) {
        const parts = words.split("{value}");
        const end = parts[1] || "";
        if (status.startsWith(parts[0]) && status.endsWith(end) && (end || status === words)) {
            const value = status.slice(parts[0].length, status.length - end.length);
            return known[words].replace("{value}", value);
        }
    }
    return status;
}

export default { answer };
