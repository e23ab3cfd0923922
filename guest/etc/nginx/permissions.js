// Permissions to put something in, files and pages of the web: Open WebUI 0.12.4 lets its page ask
// for them and takes what a program sends that signs in as the user. So Nginx asks before it does.

// Reading and deleting what is there already is Open WebUI's to allow.
const PUTTING_IN = ["POST", "PUT", "PATCH"];

// For auth_request: may the one who asks do what needs the permission chat.$needed?
// 204 yes, 403 no, 401 nobody is signed in; anything else is Open WebUI's trouble.
async function check(request) {
    const needed = request.variables.needed;
    if (needed === "" || !PUTTING_IN.includes(request.variables.request_method)) {
        request.return(204);
        return;
    }
    const session = await request.subrequest("/session");
    request.return(session.status === 200 ? answer(session, needed) : session.status);
}

function answer(session, needed) {
    const user = JSON.parse(session.responseText);
    return user.role === "admin" || user.permissions.chat[needed] ? 204 : 403;
}

export default { check };
