// Permissions that Open WebUI 0.12.4 has, and that its page alone keeps to: the application does
// what a program asks that signs in as the user. So Nginx asks for them before it does.

// For auth_request: has the one who asks the permission $needed, such as chat.file_upload?
// 204 yes, 403 no, 401 nobody is signed in; anything else is Open WebUI's trouble.
async function check(request) {
    const needed = request.variables.needed;
    if (needed === "") {
        request.return(204);
        return;
    }
    const session = await request.subrequest("/session");
    request.return(session.status === 200 ? answer(session, needed) : session.status);
}

function answer(session, needed) {
    const user = JSON.parse(session.responseText);
    const path = needed.split(".");
    const branch = user.permissions[path[0]] || {};
    return user.role === "admin" || branch[path[1]] ? 204 : 403;
}

export default { check };
